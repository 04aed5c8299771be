//! Understands one stored Stripe event and settles what it is about.
//!
//! The event is a hint: the object is fetched and its state decides, so the order and number of events do not matter. Whose money it is
//! says our own row; the object's metadata only leads to it when the event comes before our own record of the object.

use wallet_core::flows::Command;
use wallet_core::ids::TransactionId;
use wallet_core::inbox::{self, StoredEvent};
use wallet_core::jobs::ClaimedJob;
use wallet_core::stripe::{
    AccountId, CallError, Disposition, Lane, Metadata, PaymentIntent, PaymentIntentId, PayoutId, PayoutStatus,
};
use wallet_core::transactions::{self, TimelineKind, Transaction, TransactionType, external_ref};

use super::{deposit_intent, step, withdrawal_payout};
use crate::outcome::JobError;
use crate::worker::{EventEnd, Worker};

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let id = job.payload.get("event").and_then(|id| id.as_str());
    let id = id.ok_or_else(|| JobError::Park("the job names no event".to_owned()))?;
    let event = {
        let conn = &mut worker.db.conn().await?;
        inbox::find(conn, id)
            .await?
            .ok_or_else(|| JobError::Park(format!("there is no event {id}")))?
    };
    if event.is_done {
        return worker.finish(job).await;
    }
    let done = match event.event_type.split('.').next() {
        Some("payment_intent") => payment_intent(worker, job, &event).await,
        Some("payout") => payout(worker, job, &event).await,
        // Transfers and reversals are answers to our own calls, which record them.
        _ => {
            worker
                .close_event(
                    job,
                    id,
                    EventEnd::Ignored,
                    "this version acts on no event of this type",
                )
                .await
        }
    };
    match done {
        // Stripe does not know the object, or will not show it: nothing to decide by.
        Err(JobError::Call(CallError::Gateway(error)))
            if matches!(
                error.disposition(),
                Disposition::NeedsReview | Disposition::FailDefinite
            ) =>
        {
            worker
                .close_event(
                    job,
                    id,
                    EventEnd::Parked,
                    &format!("its object cannot be fetched ({})", error.class),
                )
                .await
        }
        done => done,
    }
}

async fn payment_intent(worker: &Worker, job: &ClaimedJob, event: &StoredEvent) -> Result<(), JobError> {
    let Some(id) = object_id::<PaymentIntentId>(event) else {
        return worker
            .close_event(
                job,
                &event.id,
                EventEnd::Parked,
                "the event names no payment intent",
            )
            .await;
    };
    let question = worker.calls.gateway().retrieve_payment_intent(&id);
    let intent = worker.calls.ask(Lane::Webhooks, question).await?;
    let found = owner(worker, external_ref::PAYMENT_INTENT, id.as_str(), intent.metadata).await?;
    let Some(transaction) = found.filter(|found| found.transaction_type == TransactionType::Deposit) else {
        return worker
            .close_event(
                job,
                &event.id,
                EventEnd::Ignored,
                "the payment intent is of no deposit of ours",
            )
            .await;
    };
    let command = deposit_intent::ending(&transaction, &intent).or_else(|| payment_note(&intent, event));
    if let Some(Command::Refuse(_)) = &command {
        // A refusal names no intent.
        let recorded =
            deposit_intent::recorded_first(worker, job, &transaction, &intent, deposit_intent::DECLINED)
                .await?;
        worker.settle(&[recorded]).await?;
    }
    settle(worker, job, event, &transaction, command).await
}

async fn payout(worker: &Worker, job: &ClaimedJob, event: &StoredEvent) -> Result<(), JobError> {
    let account: Option<AccountId> = event.account.as_deref().and_then(|account| account.parse().ok());
    let (Some(account), Some(id)) = (account, object_id::<PayoutId>(event)) else {
        return worker
            .close_event(
                job,
                &event.id,
                EventEnd::Ignored,
                "a payout of the platform itself",
            )
            .await;
    };
    let question = worker.calls.gateway().retrieve_payout(&account, &id);
    let payout = worker.calls.ask(Lane::Webhooks, question).await?;
    let found = owner(worker, external_ref::PAYOUT, id.as_str(), payout.metadata).await?;
    // A payout of another account than the withdrawal went to is not its own, whatever its metadata says.
    let ours = |found: &Transaction| {
        found.transaction_type == TransactionType::Withdrawal
            && found.stripe_account_id.as_deref() == Some(account.as_str())
    };
    let Some(transaction) = found.filter(ours) else {
        return worker
            .close_event(
                job,
                &event.id,
                EventEnd::Ignored,
                "the payout is of no withdrawal of ours",
            )
            .await;
    };
    let command = withdrawal_payout::command_of(&payout).or_else(|| {
        let told = payout.status == PayoutStatus::InTransit;
        told.then(|| note("the payout is on its way to your bank".to_owned(), event))
    });
    settle(worker, job, event, &transaction, command).await
}

/// What the payer should know of an intent that is not final; nothing of most events.
fn payment_note(intent: &PaymentIntent, event: &StoredEvent) -> Option<Command> {
    let message = match (event.event_type.as_str(), &intent.last_payment_error) {
        ("payment_intent.payment_failed", Some(decline)) => {
            let why = decline.message.as_deref().unwrap_or("The payment failed.");
            format!("a payment attempt failed: {why} The payer may try again.")
        }
        ("payment_intent.processing", _) => "the payment is under way".to_owned(),
        ("payment_intent.requires_action", _) => "the payer must authenticate the payment".to_owned(),
        _ => return None,
    };
    Some(note(message, event))
}

fn object_id<Id: std::str::FromStr>(event: &StoredEvent) -> Option<Id> {
    event.object_id.as_deref().and_then(|id| id.parse().ok())
}

fn note(message: String, event: &StoredEvent) -> Command {
    let detail = serde_json::json!({ "event": event.id, "type": event.event_type });
    Command::Note {
        kind: TimelineKind::StripeEvent,
        message,
        detail: Some(detail),
    }
}

/// The transaction of a Stripe object: by our record of it, else by the metadata we gave it.
async fn owner(
    worker: &Worker,
    kind: &str,
    object: &str,
    metadata: Metadata,
) -> Result<Option<Transaction>, JobError> {
    let conn = &mut worker.db.conn().await?;
    let recorded: Option<TransactionId> = transactions::find_by_external_ref(conn, kind, object).await?;
    let Some(id) = recorded.or(metadata.transaction_id) else {
        return Ok(None);
    };
    Ok(transactions::find(conn, id).await?)
}

/// Carries out what the object's state asks for; without that, the event is only marked.
async fn settle(
    worker: &Worker,
    job: &ClaimedJob,
    event: &StoredEvent,
    transaction: &Transaction,
    command: Option<Command>,
) -> Result<(), JobError> {
    let Some(command) = command else {
        return worker
            .close_event(job, &event.id, EventEnd::Passed, "nothing to do at this state")
            .await;
    };
    let only_a_note = matches!(command, Command::Note { .. });
    let steps = [step(job, transaction, command).of_event(&event.id)];
    if only_a_note {
        worker.settle(&steps).await?;
    } else {
        worker.settle_locked(&transaction.wallets(), &steps).await?;
    }
    Ok(())
}
