//! Understands one stored Stripe event and settles what it is about.
//!
//! The event is a hint: the object is fetched and its state decides, so the order and number of events do not matter, nor the API
//! version they are written in.

use std::str::FromStr;

use wallet_core::chaos::{self, Point};
use wallet_core::inbox::{self, Obstacle, StoredEvent};
use wallet_core::jobs::ClaimedJob;
use wallet_core::stripe::{AccountId, CallError, Disposition, ErrorClass};

use crate::job_error::JobError;
use crate::observations::{self, Look};
use crate::worker::Worker;
use wallet_core::inbox::EventEnd;

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
    chaos::reach(Point::EventRead).await;
    let look = Look {
        worker,
        job,
        event: Some(&event),
    };
    // An operator can have any stored event processed again, and the other mode has other money.
    if let Some(obstacle) = worker.inbox.standing_obstacle(&event) {
        let end = match &obstacle {
            Obstacle::NotOurs(_) => EventEnd::Ignored,
            Obstacle::Odd(_) => EventEnd::Parked,
        };
        return look.close(end, obstacle.note()).await;
    }
    let done = understand(&look, &event).await;
    // By now the span of these lines says which transaction it is about.
    tracing::info!(
        event = event.id,
        event_type = event.event_type,
        object = event.object_id,
        "event looked at"
    );
    chaos::reach(Point::EventProcessed).await;
    match done {
        // Whoever shares the account at Stripe with us may be paid in whatever they like.
        Err(JobError::Call(CallError::Stripe(error))) if error.class == ErrorClass::Foreign => {
            let note = "its object is in a currency that is not used here";
            look.close(EventEnd::Ignored, note).await
        }
        // Stripe does not know the object, or will not show it: nothing to decide by.
        Err(JobError::Call(CallError::Stripe(error)))
            if matches!(
                error.disposition(),
                Disposition::NeedsReview | Disposition::FailDefinite
            ) =>
        {
            let note = format!("its object cannot be fetched ({})", error.for_operators());
            look.close(EventEnd::Parked, &note).await
        }
        done => done,
    }
}

async fn understand(look: &Look<'_>, event: &StoredEvent) -> Result<(), JobError> {
    let account: Option<AccountId> = event.account.as_deref().and_then(|account| account.parse().ok());
    let name = event.event_type.as_str();
    let subject = name.rsplit_once('.').map_or(name, |(subject, _)| subject);
    match (subject, account) {
        // All payments are made on the platform's account. Those on a connected account, and what becomes of them, are its own business
        // (<https://docs.stripe.com/connect/direct-charges>), and an account that is used for more than being paid has many.
        (
            "payment_intent" | "refund" | "charge" | "charge.refund" | "charge.dispute" | "transfer",
            Some(_),
        ) => {
            let note = "a connected account's own payments are none of ours";
            look.close(EventEnd::Ignored, note).await
        }
        ("payment_intent", _) => match id(event) {
            Some(id) => observations::payment_intent(look, &id).await,
            None => nameless(look).await,
        },
        ("payout", Some(account)) => match id(event) {
            Some(id) => observations::payout(look, &account, &id).await,
            None => nameless(look).await,
        },
        ("payout", None) => {
            look.close(EventEnd::Ignored, "a payout of the platform itself")
                .await
        }
        ("refund" | "charge.refund", _) => match id(event) {
            Some(id) => observations::refund(look, &id).await,
            None => nameless(look).await,
        },
        ("charge.dispute", _) => match id(event) {
            Some(id) => observations::dispute(look, &id).await,
            None => nameless(look).await,
        },
        ("transfer", _) => match id(event) {
            Some(id) => observations::transfer(look, &id).await,
            None => nameless(look).await,
        },
        ("account.application", Some(account)) if name.ends_with(".deauthorized") => {
            observations::disconnected(look, &account).await
        }
        ("account" | "capability" | "account.external_account" | "person", Some(account)) => {
            observations::account(look, &account).await
        }
        // Their intents, refunds and disputes have events of their own.
        ("charge", _) => look.close(EventEnd::Processed, "told by other events").await,
        _ => {
            let note = "this version acts on no event of this type";
            look.close(EventEnd::Ignored, note).await
        }
    }
}

fn id<Id: FromStr>(event: &StoredEvent) -> Option<Id> {
    event.object_id.as_deref().and_then(|id| id.parse().ok())
}

async fn nameless(look: &Look<'_>) -> Result<(), JobError> {
    look.close(EventEnd::Parked, "the event does not name its object")
        .await
}
