//! Interprets one stored Stripe event and settles what it is about.
//!
//! The event is a hint: the object is fetched and its state decides. So the order, number and API version of
//! the events do not matter.

use std::str::FromStr;

use wallet_core::failpoints::{self, Point};
use wallet_core::inbox::EventEnd;
use wallet_core::inbox::{self, Obstacle, StoredEvent};
use wallet_core::jobs::ClaimedJob;
use wallet_core::stripe::{AccountId, CallError, Disposition, ErrorClass};

use crate::job_error::JobError;
use crate::observations::{self, Observation};
use crate::worker::Worker;

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
    failpoints::reach(Point::EventRead).await;
    let observation = Observation {
        worker,
        job,
        event: Some(&event),
    };
    // Checked again, since an operator can replay any stored event, and an event of the other mode is about other money.
    if let Some(obstacle) = worker.inbox.standing_obstacle(&event) {
        let end = match &obstacle {
            Obstacle::NotOurs(_) => EventEnd::Ignored,
            Obstacle::Odd(_) => EventEnd::Parked,
        };
        return observation.close(end, obstacle.note()).await;
    }
    let done = understand(&observation, &event).await;
    // By now, the span of these lines names the transaction.
    tracing::info!(
        event = event.id,
        event_type = event.event_type,
        object = event.object_id,
        "event observed"
    );
    failpoints::reach(Point::EventProcessed).await;
    match done {
        // Others who share the Stripe account with us may be paid in any currency.
        Err(JobError::Call(CallError::Stripe(error))) if error.class == ErrorClass::Foreign => {
            let note = "its object is in a currency that is not used here";
            observation.close(EventEnd::Ignored, note).await
        }
        // Stripe does not know the object or will not show it: there is nothing to decide by.
        Err(JobError::Call(CallError::Stripe(error)))
            if matches!(
                error.disposition(),
                Disposition::NeedsReview | Disposition::FailDefinite
            ) =>
        {
            let note = format!("its object cannot be fetched ({})", error.for_operators());
            observation.close(EventEnd::Parked, &note).await
        }
        done => done,
    }
}

async fn understand(observation: &Observation<'_>, event: &StoredEvent) -> Result<(), JobError> {
    let account: Option<AccountId> = event.account.as_deref().and_then(|account| account.parse().ok());
    let name = event.event_type.as_str();
    let subject = name.rsplit_once('.').map_or(name, |(subject, _)| subject);
    match (subject, account) {
        // All payments are made on the platform's account. Those on a connected account, and what follows from them, are that account's
        // own business (<https://docs.stripe.com/connect/direct-charges>), and an account with other uses than our payouts has many.
        (
            "payment_intent" | "refund" | "charge" | "charge.refund" | "charge.dispute" | "transfer",
            Some(_),
        ) => {
            let note = "a connected account's own payments are none of ours";
            observation.close(EventEnd::Ignored, note).await
        }
        ("payment_intent", _) => match id(event) {
            Some(id) => observations::payment_intent(observation, &id).await,
            None => nameless(observation).await,
        },
        ("payout", Some(account)) => match id(event) {
            Some(id) => observations::payout(observation, &account, &id).await,
            None => nameless(observation).await,
        },
        ("payout", None) => {
            observation
                .close(EventEnd::Ignored, "a payout of the platform itself")
                .await
        }
        ("refund" | "charge.refund", _) => match id(event) {
            Some(id) => observations::refund(observation, &id).await,
            None => nameless(observation).await,
        },
        ("charge.dispute", _) => match id(event) {
            Some(id) => observations::dispute(observation, &id).await,
            None => nameless(observation).await,
        },
        ("transfer", _) => match id(event) {
            Some(id) => observations::transfer(observation, &id).await,
            None => nameless(observation).await,
        },
        ("account.application", Some(account)) if name.ends_with(".deauthorized") => {
            observations::disconnected(observation, &account).await
        }
        ("account" | "capability" | "account.external_account" | "person", Some(account)) => {
            observations::account(observation, &account).await
        }
        // The charge's intent, refunds and disputes have events of their own.
        ("charge", _) => {
            observation
                .close(EventEnd::Processed, "told by other events")
                .await
        }
        _ => {
            let note = "this version acts on no event of this type";
            observation.close(EventEnd::Ignored, note).await
        }
    }
}

fn id<Id: FromStr>(event: &StoredEvent) -> Option<Id> {
    event.object_id.as_deref().and_then(|id| id.parse().ok())
}

async fn nameless(observation: &Observation<'_>) -> Result<(), JobError> {
    observation
        .close(EventEnd::Parked, "the event does not name its object")
        .await
}
