//! Handles a payout that Stripe refuses for lack of funds on the connected account, although our transfer brought them.
//!
//! The account's person, or its schedule, can pay the money out between our transfer and our payout
//! (<https://docs.stripe.com/connect/payouts-connected-accounts>): then the withdrawal's money may have left by another payout than ours. Or
//! the account owed something, and the transfer covered that
//! (<https://docs.stripe.com/connect/account-balances#understanding-negative-balances>). Funds may still come; whether the bank has the money
//! cannot be seen here. The owner and an operator are notified: at once if there are other payouts, otherwise if the lack of funds persists.

use chrono::TimeDelta;
use rust_decimal::Decimal;
use wallet_core::alarms::{self, AlarmKind};
use wallet_core::db::{DbError, in_transaction};
use wallet_core::jobs::ClaimedJob;
use wallet_core::money::Money;
use wallet_core::stripe::{AccountId, Author, Lane, Operation, Payout, PayoutStatus, StripeTransferId};
use wallet_core::transactions::{self, ExternalRef, TimelineKind, Transaction};

use super::withdrawal_transfer::account_of;
use crate::job_error::JobError;
use crate::worker::Worker;

/// What the owner reads when the account has paid itself out.
const PAID_OUT: &str = "your payout account has paid itself out before our payout was made, so the money of this withdrawal may be with your bank \
                        already; support has been told and will decide";
/// What the owner reads when the account has not paid itself out and still lacks the money.
const UNFUNDED: &str = "the money was sent to your payout account, which does not have it to pay out, for example because it owed something; \
                        support has been told and will decide";
/// How long the account may lack the money before an alarm is raised: a transfer between balances arrives at once, if only as pending.
const UNFUNDED_AFTER: TimeDelta = TimeDelta::hours(6);
/// The maximum number of payouts that a message names.
const MOST_NAMED: usize = 5;

/// Notifies the owner and raises an alarm, once, about why the payout waits for funds, if the cause is clear or the lack has lasted.
pub(super) async fn tell(
    worker: &Worker,
    job: &ClaimedJob,
    withdrawal: &Transaction,
) -> Result<(), JobError> {
    let Some(transfer) = withdrawal.stripe_transfer_id.clone() else {
        return Ok(());
    };
    let subject = withdrawal.id.to_string();
    let (paid_out, unfunded) = {
        let conn = &mut worker.db.conn().await?;
        (
            alarms::is_open_about(conn, AlarmKind::PayoutByOthers, &subject).await?,
            alarms::is_open_about(conn, AlarmKind::PayoutUnfunded, &subject).await?,
        )
    };
    if paid_out {
        return Ok(());
    }
    let account = account_of(withdrawal)?;
    if holds_enough(worker, withdrawal, &account).await? {
        return Ok(());
    }
    let what = format!(
        "withdrawal {} of {} from wallet {}: account {}",
        withdrawal.id,
        withdrawal.amount,
        withdrawal.wallet_id,
        account.as_str()
    );
    let others = made_by_others(worker, withdrawal, &account, &transfer).await?;
    if let Some(some) = words_of(&others) {
        let message = format!(
            "{what} has made {some} of its own since our transfer {}; find out whether the money of the withdrawal was among it, then {DECIDE}",
            transfer.as_str()
        );
        return told(worker, withdrawal, AlarmKind::PayoutByOthers, &message, PAID_OUT).await;
    }
    if unfunded || worker.clock.now() - job.created_at < UNFUNDED_AFTER {
        return Ok(());
    }
    let message = format!(
        "{what} does not have what our transfer {} brought, and has paid nothing out since; find out why, then have it filled up, which is \
         found by itself, or {DECIDE}",
        transfer.as_str()
    );
    told(worker, withdrawal, AlarmKind::PayoutUnfunded, &message, UNFUNDED).await
}

/// Whether the account has the money, now or once it is available: a transfer to an account under the recipient agreement, for
/// example, takes a day longer (<https://docs.stripe.com/connect/service-agreement-types#recipient>). Then the payout only has to
/// be tried again. What later withdrawals sent there counts as theirs: an account that pays itself out pays its oldest money first.
pub(super) async fn holds_enough(
    worker: &Worker,
    withdrawal: &Transaction,
    account: &AccountId,
) -> Result<bool, JobError> {
    let question = worker.calls.client().retrieve_balance(Some(account));
    let balance = worker.calls.ask(Lane::Withdrawals, question).await?;
    let of_currency = |money: &&Money| money.currency() == withdrawal.amount.currency();
    let held: Decimal = balance
        .all()
        .filter(of_currency)
        .map(|money| money.amount())
        .sum();
    let theirs = transactions::sent_after(&mut *worker.db.conn().await?, withdrawal).await?;
    Ok(held - theirs >= withdrawal.amount.amount())
}

const DECIDE: &str = "`wallet-worker withdrawals paid` or `wallet-worker withdrawals taken-back`";

/// Describes the payouts, or returns `None` if there are none.
fn words_of(payouts: &[Payout]) -> Option<String> {
    let named = |payout: &Payout| format!("{} of {}", payout.id.as_str(), payout.amount);
    let named: Vec<String> = payouts.iter().take(MOST_NAMED).map(named).collect();
    let count = payouts.len();
    (count > 0).then(|| format!("{count} payouts ({})", named.join(", ")))
}

async fn told(
    worker: &Worker,
    withdrawal: &Transaction,
    kind: AlarmKind,
    message: &str,
    to_owner: &str,
) -> Result<(), JobError> {
    let (line, now, subject) = (worker.ids.next(), worker.clock.now(), withdrawal.id.to_string());
    in_transaction!(worker.db, conn => {
        alarms::raise(conn, kind, &subject, message, now).await?;
        transactions::record(conn, withdrawal.id, line, now, TimelineKind::NeedsReview, to_owner, None).await?;
        Ok::<_, DbError>(())
    })?;
    worker.announcer.announce(vec![withdrawal.id.uuid()]);
    Ok(())
}

/// Returns the account's payouts in the withdrawal's currency since the transfer that we did not make and that have not failed.
async fn made_by_others(
    worker: &Worker,
    withdrawal: &Transaction,
    account: &AccountId,
    transfer: &StripeTransferId,
) -> Result<Vec<Payout>, JobError> {
    let client = worker.calls.client();
    let sent = worker
        .calls
        .ask(Lane::Withdrawals, client.retrieve_transfer(transfer))
        .await?;
    let listing = client.list_payouts(account, sent.created);
    let payouts = worker.calls.ask(Lane::Withdrawals, listing).await?;
    let mut others = Vec::new();
    for payout in payouts {
        let has_failed = matches!(payout.status, PayoutStatus::Failed | PayoutStatus::Canceled);
        if has_failed || payout.amount.currency() != withdrawal.amount.currency() {
            continue;
        }
        if !is_ours(worker, &payout).await? {
            others.push(payout);
        }
    }
    Ok(others)
}

/// Whether the payout is, or may be, one of ours: our own records decide, whatever its metadata says.
async fn is_ours(worker: &Worker, payout: &Payout) -> Result<bool, JobError> {
    let known = {
        let conn = &mut worker.db.conn().await?;
        transactions::find_by_external_ref(conn, &ExternalRef::Payout(payout.id.clone())).await?
    };
    if known.is_some() {
        return Ok(true);
    }
    let Some(claimed) = payout.metadata.transaction_id else {
        return Ok(false);
    };
    let author = worker
        .calls
        .author(Operation::Payout, claimed.uuid(), payout.id.as_str())
        .await?;
    Ok(author != Author::Others)
}
