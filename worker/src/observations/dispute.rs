//! Observes a dispute of a deposit. Its status gives the state, its balance transactions give the money; the event's name gives neither.
//!
//! Stripe reports a decision before or after it moves the money (<https://docs.stripe.com/api/events/types#event_types-charge.dispute.funds_reinstated>),
//! so while a final status does not agree with the movements, the observation waits. After that the movements decide.

use chrono::TimeDelta;
use serde_json::json;
use wallet_core::accept::ExternalMovement;
use wallet_core::db::{DbError, in_transaction};
use wallet_core::flows::{Command, DepositCommand, DisputeCommand, DisputeEnd};
use wallet_core::inbox::EventEnd;
use wallet_core::jobs::{self, JobKind, NewJob};
use wallet_core::money::{Currency, Money, MoneyError};
use wallet_core::stripe::{BalanceTransaction, Dispute, DisputeId, DisputeStatus};
use wallet_core::transactions::{self, ExternalRef, Flow, Stage, TimelineKind, Transaction};

use super::payment_intent::deposit_of;
use super::{Observation, entry};
use crate::job_error::JobError;

/// How long the movements of a decision are waited for.
const MOVES_LATE: TimeDelta = TimeDelta::hours(1);

/// The payload field of the job that ends this wait.
const WAITED: &str = "waited";

/// Observes a dispute: settles what its state and its movements ask for.
pub(crate) async fn dispute(observation: &Observation<'_>, id: &DisputeId) -> Result<(), JobError> {
    let client = observation.worker.calls.client();
    let dispute = observation.ask(client.retrieve_dispute(id)).await?;
    let transaction = match observation.owner(&ExternalRef::Dispute(id.clone())).await? {
        Some(known) => known,
        None => match opened(observation, &dispute).await? {
            Some(opened) => opened,
            None => return Ok(()),
        },
    };
    let dispute = without_what_others_have(observation, &transaction, dispute).await?;
    let Ok(taken) = taken(&dispute) else {
        return converted(observation, &transaction, &dispute).await;
    };
    if !transaction.stage.status().is_final() {
        let mut commands: Vec<Command> = dispute.balance_transactions.iter().map(booking).collect();
        let state = state(observation, &transaction, &dispute, taken).await?;
        commands.extend(state.map(Command::from));
        observation.settle_and_go_on(&transaction, commands).await?;
    }
    let now = observation.worker.find(transaction.id).await?;
    if now.stage.status().is_final() {
        after_its_end(observation, &now, &dispute).await?;
    }
    observation
        .close(
            EventEnd::Processed,
            "settled by the dispute's state and movements",
        )
        .await
}

/// Returns the transaction of a dispute that Stripe reports for the first time, or `None` if the observation has ended without one.
async fn opened(observation: &Observation<'_>, dispute: &Dispute) -> Result<Option<Transaction>, JobError> {
    let deposit = match &dispute.payment_intent {
        Some(intent) => deposit_of(observation, intent).await?,
        None => None,
    };
    let Some(deposit) = deposit else {
        let note = "the dispute is of no deposit of ours";
        observation.close(EventEnd::Ignored, note).await?;
        return Ok(None);
    };
    match deposit.stage {
        Stage::Completed if has_taken_of(observation, &deposit, dispute).await? => {
            if taken_in(deposit.amount.currency(), dispute).is_err() {
                let note = "a dispute that was settled in review has moved money in another currency than its deposit's";
                observation.needs_a_person(note).await?;
                return Ok(None);
            }
            after_its_end(observation, &deposit, dispute).await?;
            let note =
                "what it took was booked before its deposit was credited, and what moved since for itself";
            observation.close(EventEnd::Processed, note).await?;
            return Ok(None);
        }
        Stage::Completed if dispute.amount.currency() == deposit.amount.currency() => {}
        Stage::Accepted | Stage::AwaitingPayment => {
            return Err(JobError::AfterAnother(
                "the payment that is disputed is not booked yet",
            ));
        }
        Stage::InReview | Stage::Failed | Stage::Cancelled => {
            of_suspense(observation, &deposit, dispute).await?;
            return Ok(None);
        }
        _ => {
            observation
                .needs_a_person("a dispute in another currency than its deposit")
                .await?;
            return Ok(None);
        }
    }
    let movement = ExternalMovement {
        flow: Flow::Dispute,
        original: &deposit,
        reference: ExternalRef::Dispute(dispute.id.clone()),
        also: None,
        amount: dispute.amount,
        words: format!("the payer's bank asks about {} of the deposit", dispute.amount),
    };
    Ok(Some(observation.open(&movement).await?))
}

/// Whether money that the dispute moved is booked on its deposit, because the payment lay in suspense. A fee alone does not count.
async fn has_taken_of(
    observation: &Observation<'_>,
    deposit: &Transaction,
    dispute: &Dispute,
) -> Result<bool, JobError> {
    for movement in dispute
        .balance_transactions
        .iter()
        .filter(|moved| !moved.amount.is_zero())
    {
        if owner_of(observation, movement)
            .await?
            .is_some_and(|owner| owner.id == deposit.id)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Holds a dispute whose movements are in another currency than the deposit, which happens if the platform
/// settles in that currency (<https://docs.stripe.com/currencies/conversions>). What was taken is not known
/// in the wallet's currency, so nothing is booked: the disputed amount is held, and an operator decides.
async fn converted(
    observation: &Observation<'_>,
    transaction: &Transaction,
    dispute: &Dispute,
) -> Result<(), JobError> {
    if !transaction.stage.status().is_final() {
        observation
            .settle_and_go_on(transaction, vec![DisputeCommand::Open(None)])
            .await?;
    }
    let currency = dispute
        .balance_transactions
        .iter()
        .map(|movement| movement.amount.currency())
        .find(|currency| *currency != dispute.amount.currency());
    let note = format!(
        "the dispute of {} moved money in {}: it is held until somebody books the conversion",
        dispute.amount,
        currency.map_or("another currency", |currency| currency.code())
    );
    observation.needs_a_person(&note).await
}

/// Settles a dispute of money that was never credited: what it takes, and what is returned, is booked against suspense.
async fn of_suspense(
    observation: &Observation<'_>,
    deposit: &Transaction,
    dispute: &Dispute,
) -> Result<(), JobError> {
    let mut commands: Vec<Command> = dispute.balance_transactions.iter().map(booking).collect();
    // The payment may have been converted: what the movements took counts.
    let moved_in = (dispute.balance_transactions.first()).map(|first| first.amount.currency());
    let currency = moved_in.unwrap_or(dispute.amount.currency());
    if let (Some(said), Ok(taken)) = (end_of(&dispute.status), taken_in(currency, dispute)) {
        let waited = observation.worker.clock.now() - observation.job.created_at;
        if !said.fits(taken) && waited < MOVES_LATE {
            observation.settle_and_go_on(deposit, commands).await?;
            return Err(JobError::AfterAnother(
                "the bank has decided, and the money has not moved yet",
            ));
        }
        commands.push(DepositCommand::EndDispute(taken).into());
    }
    observation.settle(deposit, commands).await
}

fn booking(movement: &BalanceTransaction) -> Command {
    Command::BookDispute(entry(movement))
}

/// Returns the dispute without the movements that are booked on its deposit: those taken while the money lay in suspense.
async fn without_what_others_have(
    observation: &Observation<'_>,
    transaction: &Transaction,
    mut dispute: Dispute,
) -> Result<Dispute, JobError> {
    let mut own = Vec::new();
    for movement in std::mem::take(&mut dispute.balance_transactions) {
        let known = owner_of(observation, &movement).await?;
        if known.is_none_or(|known| Some(known.id) != transaction.related_transaction_id) {
            own.push(movement);
        }
    }
    dispute.balance_transactions = own;
    Ok(dispute)
}

/// Returns what Stripe took for the dispute in all, without fees; negative if it returned more than it took.
fn taken(dispute: &Dispute) -> Result<Money, MoneyError> {
    taken_in(dispute.amount.currency(), dispute)
}

fn taken_in(currency: Currency, dispute: &Dispute) -> Result<Money, MoneyError> {
    dispute
        .balance_transactions
        .iter()
        .try_fold(Money::zero(currency), |taken, movement| {
            taken.checked_sub(movement.amount)
        })
}

/// Returns what the dispute's status asks for. An open inquiry or an unknown status asks for nothing while no money is gone.
async fn state(
    observation: &Observation<'_>,
    transaction: &Transaction,
    dispute: &Dispute,
    taken: Money,
) -> Result<Option<DisputeCommand>, JobError> {
    let open = DisputeCommand::Open((!dispute.balance_transactions.is_empty()).then_some(taken));
    if matches!(
        dispute.status,
        DisputeStatus::NeedsResponse | DisputeStatus::UnderReview
    ) {
        return Ok(Some(open));
    }
    let Some(said) = end_of(&dispute.status) else {
        // An inquiry takes nothing. If it has taken something nevertheless, that amount is held.
        return Ok(taken.is_positive().then_some(open));
    };
    let has_waited = observation.job.payload.get(WAITED).is_some();
    if said.fits(taken) || has_waited {
        return Ok(Some(DisputeCommand::End(said, taken)));
    }
    wait_for_the_money(observation, transaction, said).await?;
    // What has been taken so far is held, whatever the status.
    Ok(taken.is_positive().then_some(open))
}

/// Returns the end that a final status means, or `None` if the status is not final.
const fn end_of(status: &DisputeStatus) -> Option<DisputeEnd> {
    match status {
        DisputeStatus::Won => Some(DisputeEnd::Won),
        DisputeStatus::Lost => Some(DisputeEnd::Lost),
        DisputeStatus::WarningClosed => Some(DisputeEnd::InquiryClosed),
        DisputeStatus::Prevented => Some(DisputeEnd::Prevented),
        DisputeStatus::NeedsResponse
        | DisputeStatus::UnderReview
        | DisputeStatus::WarningNeedsResponse
        | DisputeStatus::WarningUnderReview
        | DisputeStatus::Unknown(_) => None,
    }
}

/// Queues another observation for later, and notes the reason for the owner.
async fn wait_for_the_money(
    observation: &Observation<'_>,
    transaction: &Transaction,
    said: DisputeEnd,
) -> Result<(), JobError> {
    let worker = observation.worker;
    let now = worker.clock.now();
    let job = NewJob {
        unique_key: Some(format!("dispute-moves:{}", transaction.id)),
        payload: json!({ "v": 1, WAITED: true }),
        run_at: now + MOVES_LATE,
        ..NewJob::for_transaction(JobKind::AskStripe, transaction.id, transaction.wallets(), now)
    };
    let words = match said {
        DisputeEnd::Lost => "the bank has decided for the payer; waiting for what is taken",
        _ => "the bank has decided for you; waiting for the money to come back",
    };
    in_transaction!(worker.db, conn => {
        if jobs::insert(conn, &job).await?.is_some() {
            transactions::record(conn, transaction.id, worker.ids.next(), now, TimelineKind::Waiting, words, None).await?;
        }
        Ok::<(), DbError>(())
    })?;
    Ok(())
}

/// Books each movement that came after the end, of the dispute or of the deposit's review, on a transaction of its
/// own. A fee alone needs none, nor does a movement that takes back a surplus lying in suspense for the dispute.
async fn after_its_end(
    observation: &Observation<'_>,
    ended: &Transaction,
    dispute: &Dispute,
) -> Result<(), JobError> {
    for movement in &dispute.balance_transactions {
        let mut known = owner_of(observation, movement).await?;
        let is_fee = movement.amount.is_zero();
        if known.is_none() && (is_fee || ended.flow == Flow::Dispute) {
            observation
                .settle_and_go_on(ended, vec![booking(movement)])
                .await?;
            known = owner_of(observation, movement).await?;
        }
        let turn = match known {
            Some(known) => known,
            None if is_fee => continue,
            None => turned(observation, ended, movement).await?,
        };
        if turn.flow.is_dispute_turn() && turn.stage == Stage::Accepted {
            observation
                .settle_and_go_on(&turn, vec![booking(movement)])
                .await?;
        }
    }
    Ok(())
}

/// Returns the transaction that a movement is booked on.
async fn owner_of(
    observation: &Observation<'_>,
    movement: &BalanceTransaction,
) -> Result<Option<Transaction>, JobError> {
    observation
        .owner(&ExternalRef::BalanceTransaction(movement.id.clone()))
        .await
}

/// Opens the transaction of a movement that came after the end.
async fn turned(
    observation: &Observation<'_>,
    ended: &Transaction,
    movement: &BalanceTransaction,
) -> Result<Transaction, JobError> {
    let (flow, amount, words) = if movement.amount.is_negative() {
        let amount = movement.amount.negated();
        let words = format!("{amount} was taken for the dispute after it had ended");
        (Flow::DisputeLoss, amount, words)
    } else {
        let amount = movement.amount;
        let words = format!("{amount} came back of the dispute after it had ended");
        (Flow::DisputeReturn, amount, words)
    };
    observation
        .open(&ExternalMovement {
            flow,
            original: ended,
            reference: ExternalRef::BalanceTransaction(movement.id.clone()),
            also: None,
            amount,
            words,
        })
        .await
}
