//! A dispute of a deposit. The state comes from its status, the money from its balance transactions; the event's name says neither.
//!
//! Stripe tells of a decision before or after it moves the money (<https://docs.stripe.com/api/events/types#event_types-charge.dispute.funds_reinstated>),
//! so an end that does not agree with the movements is waited with. After that the movements decide.

use chrono::TimeDelta;
use serde_json::json;
use wallet_core::accept::Found;
use wallet_core::db::{DbError, in_transaction};
use wallet_core::flows::{Command, DepositCommand, DisputeCommand, DisputeEnd};
use wallet_core::jobs::{self, JobKind, NewJob};
use wallet_core::money::{Currency, Money, MoneyError};
use wallet_core::stripe::{BalanceTransaction, Dispute, DisputeId, DisputeStatus};
use wallet_core::transactions::{self, ExternalRef, Flow, Stage, TimelineKind, Transaction};

use super::payment_intent::deposit_of;
use super::{Look, entry};
use crate::job_error::JobError;
use wallet_core::inbox::EventEnd;

/// How long the movements of a decision are waited for.
const MOVES_LATE: TimeDelta = TimeDelta::hours(1);

/// In the payload of the job that ends the waiting.
const WAITED: &str = "waited";

/// Looks at a dispute and settles what its state and its movements ask for.
pub(crate) async fn dispute(look: &Look<'_>, id: &DisputeId) -> Result<(), JobError> {
    let client = look.worker.calls.client();
    let dispute = look.ask(client.retrieve_dispute(id)).await?;
    let transaction = match look.owner(&ExternalRef::Dispute(id.clone())).await? {
        Some(known) => known,
        None => match opened(look, &dispute).await? {
            Some(opened) => opened,
            None => return Ok(()),
        },
    };
    let dispute = without_what_others_have(look, &transaction, dispute).await?;
    let Ok(taken) = taken(&dispute) else {
        return converted(look, &transaction, &dispute).await;
    };
    if !transaction.stage.status().is_final() {
        let mut commands: Vec<Command> = dispute.balance_transactions.iter().map(booking).collect();
        let state = state(look, &transaction, &dispute, taken).await?;
        commands.extend(state.map(Command::from));
        look.settle_and_go_on(&transaction, commands).await?;
    }
    let now = look.again(transaction.id).await?;
    if now.stage.status().is_final() {
        after_its_end(look, &now, &dispute).await?;
    }
    look.close(
        EventEnd::Processed,
        "settled by the dispute's state and movements",
    )
    .await
}

/// The transaction of a dispute that is told of for the first time; none when the look has ended without.
async fn opened(look: &Look<'_>, dispute: &Dispute) -> Result<Option<Transaction>, JobError> {
    let deposit = match &dispute.payment_intent {
        Some(intent) => deposit_of(look, intent).await?,
        None => None,
    };
    let Some(deposit) = deposit else {
        let note = "the dispute is of no deposit of ours";
        look.close(EventEnd::Ignored, note).await?;
        return Ok(None);
    };
    match deposit.stage {
        Stage::Completed if has_taken_of(look, &deposit, dispute).await? => {
            if taken_in(deposit.amount.currency(), dispute).is_err() {
                let note = "a dispute that was settled in review has moved money in another currency than its deposit's";
                look.needs_a_person(note).await?;
                return Ok(None);
            }
            after_its_end(look, &deposit, dispute).await?;
            let note =
                "what it took was booked before its deposit was credited, and what moved since for itself";
            look.close(EventEnd::Processed, note).await?;
            return Ok(None);
        }
        Stage::Completed if dispute.amount.currency() == deposit.amount.currency() => {}
        Stage::Accepted | Stage::AwaitingPayment => {
            return Err(JobError::AfterAnother(
                "the payment that is disputed is not booked yet",
            ));
        }
        Stage::InReview | Stage::Failed | Stage::Cancelled => {
            of_suspense(look, &deposit, dispute).await?;
            return Ok(None);
        }
        _ => {
            look.needs_a_person("a dispute in another currency than its deposit")
                .await?;
            return Ok(None);
        }
    }
    let found = Found {
        flow: Flow::Dispute,
        original: &deposit,
        reference: ExternalRef::Dispute(dispute.id.clone()),
        also: None,
        amount: dispute.amount,
        words: format!("the payer's bank asks about {} of the deposit", dispute.amount),
    };
    Ok(Some(look.open(&found).await?))
}

/// Whether money that the dispute moved is booked on its deposit: it was settled while the payment lay in suspense. A fee alone settled nothing.
async fn has_taken_of(look: &Look<'_>, deposit: &Transaction, dispute: &Dispute) -> Result<bool, JobError> {
    for movement in dispute
        .balance_transactions
        .iter()
        .filter(|moved| !moved.amount.is_zero())
    {
        if owner_of(look, movement)
            .await?
            .is_some_and(|owner| owner.id == deposit.id)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A platform that settles in another currency than the deposit's has its disputes settled in that one
/// (<https://docs.stripe.com/currencies/conversions>). What was taken is not known in the wallet's currency, so nothing is booked: what is
/// disputed is held, and a person decides.
async fn converted(look: &Look<'_>, transaction: &Transaction, dispute: &Dispute) -> Result<(), JobError> {
    if !transaction.stage.status().is_final() {
        look.settle_and_go_on(transaction, vec![DisputeCommand::Open(None)])
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
    look.needs_a_person(&note).await
}

/// What is disputed was never credited: what is taken for it, and what comes back, is booked against what lies in suspense.
async fn of_suspense(look: &Look<'_>, deposit: &Transaction, dispute: &Dispute) -> Result<(), JobError> {
    let mut commands: Vec<Command> = dispute.balance_transactions.iter().map(booking).collect();
    // What is disputed may have been converted: what counts is what the movements took.
    let moved_in = (dispute.balance_transactions.first()).map(|first| first.amount.currency());
    let currency = moved_in.unwrap_or(dispute.amount.currency());
    if let (Some(said), Ok(taken)) = (end_of(&dispute.status), taken_in(currency, dispute)) {
        let waited = look.worker.clock.now() - look.job.created_at;
        if !said.fits(taken) && waited < MOVES_LATE {
            look.settle_and_go_on(deposit, commands).await?;
            return Err(JobError::AfterAnother(
                "the bank has decided, and the money has not moved yet",
            ));
        }
        commands.push(DepositCommand::EndDispute(taken).into());
    }
    look.settle(deposit, commands).await
}

fn booking(movement: &BalanceTransaction) -> Command {
    Command::BookDispute(entry(movement))
}

/// The dispute without the movements that are booked on its deposit: what was taken of it while it lay in suspense.
async fn without_what_others_have(
    look: &Look<'_>,
    transaction: &Transaction,
    mut dispute: Dispute,
) -> Result<Dispute, JobError> {
    let mut own = Vec::new();
    for movement in std::mem::take(&mut dispute.balance_transactions) {
        let known = owner_of(look, &movement).await?;
        if known.is_none_or(|known| Some(known.id) != transaction.related_transaction_id) {
            own.push(movement);
        }
    }
    dispute.balance_transactions = own;
    Ok(dispute)
}

/// What Stripe took for the dispute, fees apart, all its movements together; negative when it gave back more.
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

/// What the dispute's status asks for; nothing of an inquiry that is open, nor of a status of tomorrow, as long as no money is gone.
async fn state(
    look: &Look<'_>,
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
        // An inquiry takes nothing. Should it have taken something all the same, that is held.
        return Ok(taken.is_positive().then_some(open));
    };
    let has_waited = look.job.payload.get(WAITED).is_some();
    if said.fits(taken) || has_waited {
        return Ok(Some(DisputeCommand::End(said, taken)));
    }
    wait_for_the_money(look, transaction, said).await?;
    // What is gone meanwhile is held, whatever is said.
    Ok(taken.is_positive().then_some(open))
}

/// What a final status says; none of one that is not.
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

/// Looks again after a while, and tells the owner why.
async fn wait_for_the_money(
    look: &Look<'_>,
    transaction: &Transaction,
    said: DisputeEnd,
) -> Result<(), JobError> {
    let worker = look.worker;
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

/// Each movement that came after the end, of the dispute or of the deposit's review, is a transaction of its own. A fee alone is none, nor is what
/// takes back a surplus that lies in suspense for the dispute.
async fn after_its_end(look: &Look<'_>, ended: &Transaction, dispute: &Dispute) -> Result<(), JobError> {
    for movement in &dispute.balance_transactions {
        let mut known = owner_of(look, movement).await?;
        let is_fee = movement.amount.is_zero();
        if known.is_none() && (is_fee || ended.flow == Flow::Dispute) {
            look.settle_and_go_on(ended, vec![booking(movement)]).await?;
            known = owner_of(look, movement).await?;
        }
        let turn = match known {
            Some(known) => known,
            None if is_fee => continue,
            None => turned(look, ended, movement).await?,
        };
        if turn.flow.is_dispute_turn() && turn.stage == Stage::Accepted {
            look.settle_and_go_on(&turn, vec![booking(movement)]).await?;
        }
    }
    Ok(())
}

/// The transaction that a movement is booked on.
async fn owner_of(look: &Look<'_>, movement: &BalanceTransaction) -> Result<Option<Transaction>, JobError> {
    look.owner(&ExternalRef::BalanceTransaction(movement.id.clone()))
        .await
}

/// Opens the transaction of a movement that came after the end.
async fn turned(
    look: &Look<'_>,
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
    look.open(&Found {
        flow,
        original: ended,
        reference: ExternalRef::BalanceTransaction(movement.id.clone()),
        also: None,
        amount,
        words,
    })
    .await
}
