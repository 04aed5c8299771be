//! A payout: the money of a withdrawal on its way to the bank. It may fail days after it was paid.

use secrecy::ExposeSecret;
use wallet_core::accept::Found;
use wallet_core::alarms::{self, AlarmKind};
use wallet_core::crypto::{KeyOwner, Place, Sealed};
use wallet_core::db::{DbError, in_transaction};
use wallet_core::flows::{Command, WithdrawalCommand};
use wallet_core::payees;
use wallet_core::stripe::{
    AccountId, CallError, ExternalAccountId, Operation, Payout, PayoutId, PayoutStatus, StripeError,
};
use wallet_core::transactions::{
    self, ExternalRef, FailureCode, FailureReason, Flow, Returned, Stage, TimelineKind, Transaction,
};

use super::Look;
use crate::job_error::JobError;
use crate::worker::Worker;
use wallet_core::inbox::EventEnd;

/// What the owner reads of a payout that nobody can look at.
const UNREACHABLE: &str = "your payout account is no longer connected, so we cannot see whether the payout has arrived; support has been told and will find out";

/// Looks at a payout of a connected account and settles what its state asks for.
///
/// It is a withdrawal's when our own call made it, and it is what that call asked for.
pub(crate) async fn payout(look: &Look<'_>, account: &AccountId, id: &PayoutId) -> Result<(), JobError> {
    let client = look.worker.calls.client();
    let payout = match look.ask(client.retrieve_payout(account, id)).await {
        Ok(payout) => payout,
        Err(JobError::Call(CallError::Stripe(error))) if payees::is_gone(&error) => {
            return unreachable(look, account, id, error).await;
        }
        Err(error) => return Err(error),
    };
    let (recorded, claim) = match look.owner(&ExternalRef::Payout(id.clone())).await? {
        Some(transaction) => (Some(transaction), None),
        None => {
            let claim = look.claimed(Operation::Payout, Flow::Withdrawal, id.as_str(), payout.metadata);
            (None, claim.await?)
        }
    };
    // A payout of another account than the withdrawal went to is not its own, and what others write there is theirs.
    let of_account = |found: &Transaction| {
        found.flow == Flow::Withdrawal && found.stripe_account_id.as_ref() == Some(account)
    };
    let claim = claim.filter(|claim| of_account(&claim.transaction));
    let Some(transaction) = recorded
        .filter(of_account)
        .or_else(|| claim.as_ref().map(|claim| claim.transaction.clone()))
    else {
        let note = "the payout is of no withdrawal of ours";
        return look.close(EventEnd::Ignored, note).await;
    };
    let bank = bank_of(look.worker, &transaction).await?;
    let fits = payout.is_what_was_asked_for(transaction.amount, bank.as_ref());
    if let Some(claim) = claim
        && !claim.is_ours(fits, &[Stage::Accepted, Stage::Held, Stage::Transferred])?
    {
        let why = "the payout was not made by this system";
        return look.foreign(&transaction, account, id.as_str(), why).await;
    }
    if !fits {
        let why = "the payout's amount, currency or bank is not what was asked for";
        return look.foreign(&transaction, account, id.as_str(), why).await;
    }
    let is_recorded = transaction.stripe_payout_id.as_ref() == Some(id);
    let has_failed = matches!(payout.status, PayoutStatus::Failed | PayoutStatus::Canceled);
    if transaction.stage == Stage::Completed && is_recorded && has_failed {
        return returned(look, &transaction, &payout).await;
    }
    let command = command_of(&payout).map(Command::from).or_else(|| {
        let told = payout.status == PayoutStatus::InTransit && transaction.stage != Stage::Completed;
        let once = ExternalRef::PayoutSent(id.clone());
        told.then(|| look.note_once(&transaction, "the payout is on its way to your bank", once))
            .flatten()
    });
    look.settle(&transaction, command.into_iter().collect()).await
}

/// Stripe does not show the payout to us: its account was disconnected or deleted. As long as that is so nobody here learns how a payout ends
/// that is under way, so a person and its owner are told, once; it is asked about again all the same, since an account can come back.
async fn unreachable(
    look: &Look<'_>,
    account: &AccountId,
    id: &PayoutId,
    error: StripeError,
) -> Result<(), JobError> {
    let found = look.owner(&ExternalRef::Payout(id.clone())).await?;
    let Some(withdrawal) = found.filter(|found| found.stage == Stage::PayingOut) else {
        return Err(CallError::Stripe(error).into());
    };
    let last = look.event.map_or_else(String::new, |event| {
        format!(" (its last event: {} {})", event.event_type, event.id)
    });
    let message = format!(
        "withdrawal {} of {} from wallet {}: Stripe no longer shows its payout {id} on account {account} to us{last}; find out whether it was \
         paid, then `wallet-worker withdrawals paid` or `wallet-worker withdrawals taken-back`",
        withdrawal.id, withdrawal.amount, withdrawal.wallet_id
    );
    tell_unreachable(look.worker, &withdrawal, &message).await?;
    look.close(
        EventEnd::Processed,
        "the payout cannot be looked at; a person was told",
    )
    .await
}

/// A line for the owner with the alarm, not with each look.
async fn tell_unreachable(worker: &Worker, withdrawal: &Transaction, message: &str) -> Result<(), JobError> {
    let (kind, subject) = (AlarmKind::PayoutUnreachable, withdrawal.id.to_string());
    let now = worker.clock.now();
    in_transaction!(worker.db, conn => {
        if alarms::is_open_about(conn, kind, &subject).await? {
            return Ok(());
        }
        alarms::raise(conn, kind, &subject, message, now).await?;
        let line = (worker.ids.next(), now);
        transactions::record(conn, withdrawal.id, line.0, line.1, TimelineKind::NeedsReview, UNREACHABLE, None).await?;
        Ok::<_, DbError>(())
    })?;
    worker.announcer.announce(vec![withdrawal.id.uuid()]);
    Ok(())
}

/// The external account that was asked for; none for the account's default.
pub(crate) async fn bank_of(
    worker: &Worker,
    transaction: &Transaction,
) -> Result<Option<ExternalAccountId>, JobError> {
    let Some(sealed) = transaction.encrypted_bank_id.clone() else {
        return Ok(None);
    };
    let unreadable = || JobError::Park("the external account of the withdrawal cannot be read".to_owned());
    let sealed = Sealed::parse(sealed).map_err(|_| unreadable())?;
    let owner = KeyOwner::User(transaction.user_id);
    let place = Place::new("wallet_transactions", "encrypted_bank_id", transaction.id, owner);
    let bank = worker.vault.open(&place, &sealed).await?;
    bank.expose_secret().parse().map(Some).map_err(|_| unreadable())
}

/// The withdrawal is completed and stays so: a transaction of its own brings the money back.
async fn returned(look: &Look<'_>, withdrawal: &Transaction, payout: &Payout) -> Result<(), JobError> {
    // By the payout, as the movement may be named later (https://docs.stripe.com/api/payouts/object#payout_object-failure_balance_transaction).
    let movement = payout.failure_balance_transaction.as_ref();
    look.open(&Found {
        flow: Flow::PayoutReturn,
        original: withdrawal,
        reference: ExternalRef::Return(Returned::Payout(payout.id.clone())),
        also: movement.map(|movement| ExternalRef::Return(Returned::Movement(movement.clone()))),
        amount: withdrawal.amount,
        words: format!("your bank returned the payout: {}", sentence(payout)),
    })
    .await?;
    look.close(EventEnd::Processed, "the payout came back after it was paid")
        .await
}

/// What a payout's state at Stripe asks for; none while it is under way.
fn command_of(payout: &Payout) -> Option<WithdrawalCommand> {
    let id = payout.id.clone();
    match payout.status {
        PayoutStatus::Paid => Some(WithdrawalCommand::SettlePayout(Some(id))),
        PayoutStatus::Failed | PayoutStatus::Canceled => {
            let reason = FailureReason::new(FailureCode::PayoutFailed, sentence(payout));
            Some(WithdrawalCommand::FailPayout(Some(id), reason))
        }
        PayoutStatus::Pending | PayoutStatus::InTransit | PayoutStatus::Unknown(_) => None,
    }
}

fn sentence(payout: &Payout) -> String {
    payout
        .failure_message
        .clone()
        .unwrap_or_else(|| match payout.status {
            PayoutStatus::Canceled => "the payout was cancelled".to_owned(),
            _ => format!(
                "the payout failed ({})",
                payout.failure_code.as_deref().unwrap_or("no reason given")
            ),
        })
}
