//! Polling for what Stripe has not reported: transactions that have been quiet for too long, and events that no webhook brought.
//!
//! Both are queued as jobs, so that they are leased, retried and settled like everything else. When several workers do this at once, each
//! job is queued once. Times are those of the application's clock.

mod cursor;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

pub use cursor::{read_since, record_reading};

use crate::budget::{self, Bucket, CallBudget};
use crate::db::{Db, DbError, in_transaction};
use crate::jobs::{self, JobKind, NewJob};
use crate::transactions::{self, Stage};

/// The stages in which a transaction of any flow waits for Stripe; a dispute waits for it all the time.
const WAITING: [Stage; 4] = [
    Stage::AwaitingPayment,
    Stage::PayingOut,
    Stage::Refunding,
    Stage::Disputed,
];
/// A transaction that waits for Stripe is polled when nothing was heard of it for this long, then at growing intervals.
const QUIET: TimeDelta = TimeDelta::seconds(60);
/// The maximum interval between two polls.
const RAREST: TimeDelta = TimeDelta::hours(6);

/// Queues a poll for each transaction that waits for Stripe and has been quiet for too long, as far as the budget allows; returns how many.
///
/// # Errors
/// When the database cannot be reached.
pub async fn poll_quiet(db: &Db, budget: CallBudget, now: DateTime<Utc>) -> Result<usize, DbError> {
    in_transaction!(db, conn => {
        let granted = budget::take(conn, budget, Bucket::Polls, budget.burst(Bucket::Polls), now).await?;
        let quiet = transactions::take_due_for_poll(conn, &WAITING, (QUIET, RAREST), granted, now).await?;
        let questions: Vec<NewJob> = quiet
            .into_iter()
            .map(|(id, wallet)| NewJob {
                unique_key: Some(format!("ask:{id}")),
                ..NewJob::for_transaction(JobKind::AskStripe, id, vec![wallet], now)
            })
            .collect();
        let queued = jobs::insert_all(conn, &questions).await?;
        budget::return_unused(conn, Bucket::Polls, unused(granted, queued)).await?;
        Ok(queued)
    })
}

/// Queues the reading of Stripe's lists of events as far as the budget allows; returns how many. The platform's own list comes first. Stripe lists
/// the events of a connected account only to requests made for that account (<https://docs.stripe.com/api/events/list>,
/// <https://docs.stripe.com/connect/authentication>), so these lists are read as needed.
///
/// # Errors
/// When the database cannot be reached.
pub async fn read_events(db: &Db, budget: CallBudget, now: DateTime<Utc>) -> Result<usize, DbError> {
    in_transaction!(db, conn => {
        // At most half of it: the other half is left for polling transactions, for which people wait.
        let granted = budget::take(conn, budget, Bucket::Polls, (budget.burst(Bucket::Polls) / 2).max(1), now).await?;
        let readings: Vec<NewJob> = cursor::take_due(conn, granted, now)
            .await?
            .into_iter()
            .map(|account| NewJob {
                kind: JobKind::PageEvents,
                transaction: None,
                wallets: Vec::new(),
                unique_key: Some(format!("events:{account}")),
                payload: json!({ "v": 1, "account": account }),
                run_at: now,
            })
            .collect();
        let queued = jobs::insert_all(conn, &readings).await?;
        budget::return_unused(conn, Bucket::Polls, unused(granted, queued)).await?;
        Ok(queued)
    })
}

fn unused(granted: i64, queued: usize) -> i64 {
    granted
        .saturating_sub(i64::try_from(queued).unwrap_or(i64::MAX))
        .max(0)
}
