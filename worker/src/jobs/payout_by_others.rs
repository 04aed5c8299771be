//! The person of a connected account, or its schedule, can pay the account out between our transfer and our payout
//! (<https://docs.stripe.com/connect/payouts-connected-accounts>): then the money of the withdrawal may have gone by another payout than
//! ours, which waits for funds that do not come. Nobody here can tell whether it has; its owner and an operator are told.

use wallet_core::alarms;
use wallet_core::db::{DbError, in_transaction};
use wallet_core::stripe::{AccountId, Author, Lane, Operation, Payout, PayoutStatus, StripeTransferId};
use wallet_core::transactions::{self, TimelineKind, Transaction, external_ref};

use super::withdrawal_transfer::account_of;
use crate::outcome::JobError;
use crate::worker::Worker;

/// What the owner reads.
const TOLD: &str = "your payout account has paid itself out before our payout was made, so the money of this withdrawal may be with your bank \
                    already; support has been told and will decide";
/// Most payouts that are named.
const MOST_NAMED: usize = 5;

/// Tells, once, of payouts of the withdrawal's account that others have made since our transfer, if there are any.
pub(super) async fn tell(worker: &Worker, withdrawal: &Transaction) -> Result<(), JobError> {
    let transfer = withdrawal.stripe_transfer_id.as_deref();
    let Some(transfer) = transfer.and_then(|id| id.parse().ok()) else {
        return Ok(());
    };
    let (kind, subject) = (alarms::PAYOUT_BY_OTHERS, withdrawal.id.to_string());
    let told = alarms::open_subjects(&mut *worker.db.conn().await?, kind).await?;
    if told.contains(&subject) {
        return Ok(());
    }
    let account = account_of(withdrawal)?;
    let others = made_by_others(worker, withdrawal, &account, &transfer).await?;
    if others.is_empty() {
        return Ok(());
    }
    let named = |payout: &Payout| format!("{} of {}", payout.id.as_str(), payout.amount);
    let payouts: Vec<String> = others.iter().take(MOST_NAMED).map(named).collect();
    let message = format!(
        "withdrawal {} of {} from wallet {}: account {} has made {} payouts of its own since our transfer {} ({}); find out whether the money \
         of the withdrawal was among it",
        withdrawal.id,
        withdrawal.amount,
        withdrawal.wallet_id,
        account.as_str(),
        others.len(),
        transfer.as_str(),
        payouts.join(", ")
    );
    let (line, now) = (worker.ids.next(), worker.clock.now());
    in_transaction!(worker.db, conn => {
        alarms::raise(conn, kind, &subject, &message, now).await?;
        transactions::record(conn, withdrawal.id, line, now, TimelineKind::NeedsReview, TOLD, None).await?;
        Ok::<_, DbError>(())
    })?;
    worker.announcer.announce(vec![withdrawal.id.uuid()]);
    Ok(())
}

/// The payouts of the account in the withdrawal's currency since the transfer that no call of ours has made, and that have not failed.
async fn made_by_others(
    worker: &Worker,
    withdrawal: &Transaction,
    account: &AccountId,
    transfer: &StripeTransferId,
) -> Result<Vec<Payout>, JobError> {
    let gateway = worker.calls.gateway();
    let sent = worker
        .calls
        .ask(Lane::Withdrawals, gateway.retrieve_transfer(transfer))
        .await?;
    let listing = gateway.list_payouts(account, sent.created);
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

/// Whether the payout is, or may be, one of ours: by our own records, whatever it says of itself.
async fn is_ours(worker: &Worker, payout: &Payout) -> Result<bool, JobError> {
    let id = payout.id.as_str();
    let known = {
        let conn = &mut worker.db.conn().await?;
        transactions::find_by_external_ref(conn, external_ref::PAYOUT, id).await?
    };
    if known.is_some() {
        return Ok(true);
    }
    let Some(claimed) = payout.metadata.transaction_id else {
        return Ok(false);
    };
    let author = worker.calls.author(Operation::Payout, claimed.uuid(), id).await?;
    Ok(author != Author::Others)
}
