//! What nobody tells us is asked for: transactions that have been quiet for too long, and events that no webhook brought.
//!
//! Both are queued as jobs, so that they are leased, retried and settled like everything else; several workers that look at once queue
//! each question once. Times are the application's.

mod cursor;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

pub use cursor::{read_since, record_reading};

use crate::budget::{self, Bucket, CallBudget};
use crate::db::{Db, DbError, in_transaction};
use crate::jobs::{self, JobKind, NewJob};
use crate::transactions::{self, Stage};

/// Where transactions are that wait for Stripe, whichever flow they are of; a dispute waits for it all the time.
const WAITING: [Stage; 4] = [
    Stage::AwaitingPayment,
    Stage::PayingOut,
    Stage::Refunding,
    Stage::Disputed,
];
/// A transaction that waits for Stripe is asked about when nothing was heard of it for this long, then ever more rarely.
const QUIET: TimeDelta = TimeDelta::seconds(60);
/// The longest between two questions.
const RAREST: TimeDelta = TimeDelta::hours(6);

/// Queues a question for each transaction that waits for Stripe and has been quiet for too long, as far as the budget goes; gives how many.
///
/// # Errors
/// When the database cannot be reached.
pub async fn ask_about_quiet(db: &Db, budget: CallBudget, now: DateTime<Utc>) -> Result<usize, DbError> {
    in_transaction!(db, conn => {
        let granted = budget::take(conn, budget, Bucket::Sweeps, budget.burst(Bucket::Sweeps), now).await?;
        let quiet = transactions::take_quiet(conn, &WAITING, (QUIET, RAREST), granted, now).await?;
        let questions: Vec<NewJob> = quiet
            .into_iter()
            .map(|(id, wallet)| NewJob {
                unique_key: Some(format!("ask:{id}")),
                ..NewJob::for_transaction(JobKind::AskStripe, id, vec![wallet], now)
            })
            .collect();
        let queued = jobs::insert_all(conn, &questions).await?;
        budget::give_back(conn, Bucket::Sweeps, unused(granted, queued)).await?;
        Ok(queued)
    })
}

/// Queues the reading of Stripe's list of events as far as the budget goes; gives how many. The platform's own comes first. Stripe lists the
/// events of a connected account only to whoever asks for that account (<https://docs.stripe.com/api/events/list>,
/// <https://docs.stripe.com/connect/authentication>), so these are read by need.
///
/// # Errors
/// When the database cannot be reached.
pub async fn read_events(db: &Db, budget: CallBudget, now: DateTime<Utc>) -> Result<usize, DbError> {
    in_transaction!(db, conn => {
        // Half of it at most: what people wait for to be asked about comes with the other half.
        let granted = budget::take(conn, budget, Bucket::Sweeps, (budget.burst(Bucket::Sweeps) / 2).max(1), now).await?;
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
        budget::give_back(conn, Bucket::Sweeps, unused(granted, queued)).await?;
        Ok(queued)
    })
}

fn unused(granted: i64, queued: usize) -> i64 {
    granted
        .saturating_sub(i64::try_from(queued).unwrap_or(i64::MAX))
        .max(0)
}
