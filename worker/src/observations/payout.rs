//! Observes a payout: the money of a withdrawal on its way to the bank. It may fail days after it was paid.

use secrecy::ExposeSecret;
use wallet_core::accept::ExternalMovement;
use wallet_core::alarms::{self, AlarmKind};
use wallet_core::crypto::{KeyOwner, Place, Sealed};
use wallet_core::db::{DbError, in_transaction};
use wallet_core::flows::{Command, WithdrawalCommand};
use wallet_core::inbox::EventEnd;
use wallet_core::payees;
use wallet_core::stripe::{
    AccountId, CallError, ExternalAccountId, Operation, Payout, PayoutId, PayoutStatus, StripeError,
};
use wallet_core::transactions::{
    self, ExternalRef, FailureCode, FailureReason, Flow, Returned, Stage, TimelineKind, Transaction,
};

use super::Observation;
use crate::job_error::JobError;
use crate::worker::Worker;

/// What the owner reads about a payout that can no longer be read.
const UNREACHABLE: &str = "your payout account is no longer connected, so we cannot see whether the payout has arrived; support has been told and will find out";

/// Observes a payout of a connected account: settles what its state asks for.
///
/// It belongs to a withdrawal if our own call made it and it is what that call asked for.
pub(crate) async fn payout(
    observation: &Observation<'_>,
    account: &AccountId,
    id: &PayoutId,
) -> Result<(), JobError> {
    let client = observation.worker.calls.client();
    let payout = match observation.ask(client.retrieve_payout(account, id)).await {
        Ok(payout) => payout,
        Err(JobError::Call(CallError::Stripe(error))) if payees::is_gone(&error) => {
            return unreachable(observation, account, id, error).await;
        }
        Err(error) => return Err(error),
    };
    let (recorded, attribution) = match observation.owner(&ExternalRef::Payout(id.clone())).await? {
        Some(transaction) => (Some(transaction), None),
        None => {
            let attribution =
                observation.attributed(Operation::Payout, Flow::Withdrawal, id.as_str(), payout.metadata);
            (None, attribution.await?)
        }
    };
    // A payout of another account than the withdrawal's does not belong to it, whatever its metadata claims.
    let of_account = |found: &Transaction| {
        found.flow == Flow::Withdrawal && found.stripe_account_id.as_ref() == Some(account)
    };
    let attribution = attribution.filter(|attribution| of_account(&attribution.transaction));
    let Some(transaction) = recorded.filter(of_account).or_else(|| {
        attribution
            .as_ref()
            .map(|attribution| attribution.transaction.clone())
    }) else {
        let note = "the payout is of no withdrawal of ours";
        return observation.close(EventEnd::Ignored, note).await;
    };
    let bank = bank_of(observation.worker, &transaction).await?;
    let fits = payout.is_what_was_asked_for(transaction.amount, bank.as_ref());
    if let Some(attribution) = attribution
        && !attribution.is_ours(fits, &[Stage::Accepted, Stage::Held, Stage::Transferred])?
    {
        let why = "the payout was not made by this system";
        return observation.foreign(&transaction, account, id.as_str(), why).await;
    }
    if !fits {
        let why = "the payout's amount, currency or bank is not what was asked for";
        return observation.foreign(&transaction, account, id.as_str(), why).await;
    }
    let is_recorded = transaction.stripe_payout_id.as_ref() == Some(id);
    let has_failed = matches!(payout.status, PayoutStatus::Failed | PayoutStatus::Canceled);
    if transaction.stage == Stage::Completed && is_recorded && has_failed {
        return returned(observation, &transaction, &payout).await;
    }
    let command = command_of(&payout).map(Command::from).or_else(|| {
        let told = payout.status == PayoutStatus::InTransit && transaction.stage != Stage::Completed;
        let once = ExternalRef::PayoutSent(id.clone());
        told.then(|| observation.note_once(&transaction, "the payout is on its way to your bank", once))
            .flatten()
    });
    observation
        .settle(&transaction, command.into_iter().collect())
        .await
}

/// Handles a payout that Stripe does not show to us because its account was disconnected or deleted. Until that changes, its end
/// cannot be known. So an alarm is raised and the owner notified, once; polling continues, since an account can be reconnected.
async fn unreachable(
    observation: &Observation<'_>,
    account: &AccountId,
    id: &PayoutId,
    error: StripeError,
) -> Result<(), JobError> {
    let found = observation.owner(&ExternalRef::Payout(id.clone())).await?;
    let Some(withdrawal) = found.filter(|found| found.stage == Stage::PayingOut) else {
        return Err(CallError::Stripe(error).into());
    };
    let last = observation.event.map_or_else(String::new, |event| {
        format!(" (its last event: {} {})", event.event_type, event.id)
    });
    let message = format!(
        "withdrawal {} of {} from wallet {}: Stripe no longer shows its payout {id} on account {account} to us{last}; find out whether it was \
         paid, then `wallet-worker withdrawals paid` or `wallet-worker withdrawals taken-back`",
        withdrawal.id, withdrawal.amount, withdrawal.wallet_id
    );
    report_unreachable(observation.worker, &withdrawal, &message).await?;
    observation
        .close(
            EventEnd::Processed,
            "the payout cannot be read; an operator was told",
        )
        .await
}

/// Raises the alarm with a line for the owner, once and not with each observation.
async fn report_unreachable(
    worker: &Worker,
    withdrawal: &Transaction,
    message: &str,
) -> Result<(), JobError> {
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

/// Returns the external account that the withdrawal names, or `None` for the account's default.
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

/// Opens a transaction that returns the money of a completed withdrawal; the withdrawal itself stays completed.
async fn returned(
    observation: &Observation<'_>,
    withdrawal: &Transaction,
    payout: &Payout,
) -> Result<(), JobError> {
    // Keyed by the payout: the movement may be named later (https://docs.stripe.com/api/payouts/object#payout_object-failure_balance_transaction).
    let movement = payout.failure_balance_transaction.as_ref();
    observation
        .open(&ExternalMovement {
            flow: Flow::PayoutReturn,
            original: withdrawal,
            reference: ExternalRef::Return(Returned::Payout(payout.id.clone())),
            also: movement.map(|movement| ExternalRef::Return(Returned::Movement(movement.clone()))),
            amount: withdrawal.amount,
            words: format!("your bank returned the payout: {}", sentence(payout)),
        })
        .await?;
    observation
        .close(EventEnd::Processed, "the payout came back after it was paid")
        .await
}

/// Returns what a payout's state at Stripe asks for, or `None` while it is under way.
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
