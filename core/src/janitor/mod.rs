//! What nobody tells us is asked for: transactions that have been quiet for too long, and events that no webhook brought.
//!
//! Both are queued as jobs, so that they are leased, retried and settled like everything else; several workers that look at once queue
//! each question once. Times are the application's.

mod cursor;
mod privacy;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::sql_types::{Array, BigInt, Interval, Text, Timestamptz};
use diesel_async::RunQueryDsl;

pub use cursor::{read_since, record_reading};
pub use privacy::{BODIES_KEPT, TidyError, drop_event_bodies, key_bare_digests};

use crate::budget::{self, Bucket, CallBudget};
use crate::db::{Db, DbError, in_transaction, sql};
use crate::jobs::JobKind;

/// A transaction that waits for Stripe is asked about when nothing was heard of it for this long, then ever more rarely.
const QUIET: TimeDelta = TimeDelta::seconds(60);
/// The longest between two questions.
const RAREST: TimeDelta = TimeDelta::hours(6);
/// How often the platform's list of events is read.
const READ_EVERY: TimeDelta = TimeDelta::seconds(60);
/// How often that of a connected account with money on its way is read. Each payout is asked about by itself as well.
const ACCOUNT_READ_EVERY: TimeDelta = TimeDelta::minutes(10);
/// How often that of an account is read whose payouts have all arrived: a bank may still send one back.
const QUIET_ACCOUNT_READ_EVERY: TimeDelta = TimeDelta::days(1);
/// How long after money was last sent to a connected account its events are read.
const ACCOUNT_READ_FOR: TimeDelta = TimeDelta::days(35);

/// Queues a question for each transaction that waits for Stripe and has been quiet for too long, as far as the budget goes; gives how many.
///
/// # Errors
/// When the database cannot be reached.
pub async fn ask_about_quiet(db: &Db, budget: CallBudget, now: DateTime<Utc>) -> Result<usize, DbError> {
    let waiting = ["awaiting_payment", "paying_out", "refunding", "disputed"];
    in_transaction!(db, conn => {
        let granted = budget::take(conn, budget, Bucket::Sweeps, budget.burst(Bucket::Sweeps), now).await?;
        let queued = sql(
            "WITH quiet AS (
                SELECT id, wallet_id FROM wallet_transactions
                 WHERE status IN ('pending', 'processing') AND updated_at < $1 - $2 AND (stage = ANY($4) OR flow = 'dispute')
                   AND (checked_at IS NULL OR checked_at > $1 + interval '1 hour' OR checked_at < $1 - LEAST(GREATEST(checked_at - updated_at, $2), $3))
                 ORDER BY updated_at LIMIT $7 FOR NO KEY UPDATE SKIP LOCKED),
             marked AS (UPDATE wallet_transactions t SET checked_at = $1 FROM quiet WHERE t.id = quiet.id)
             INSERT INTO jobs (queue, kind, transaction_id, wallet_ids, unique_key, run_at, created_at)
             SELECT $5, $6, id, ARRAY[wallet_id], 'ask:' || id, $1, $1 FROM quiet
             ON CONFLICT (unique_key) DO NOTHING",
        )
        .bind::<Timestamptz, _>(now)
        .bind::<Interval, _>(QUIET)
        .bind::<Interval, _>(RAREST)
        .bind::<Array<Text>, _>(&waiting[..])
        .bind::<Text, _>(JobKind::AskStripe.queue().as_str())
        .bind::<Text, _>(JobKind::AskStripe.as_str())
        .bind::<BigInt, _>(granted)
        .execute(conn)
        .await?;
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
        let queued = sql(
            "WITH used AS (
                SELECT account, min(every) AS every FROM (
                       SELECT ''::varchar AS account, $2 AS every
                        UNION ALL
                       SELECT stripe_account_id, $6 FROM wallet_transactions
                        WHERE status IN ('pending', 'processing') AND stage IN ('transferred', 'paying_out', 'returning')
                          AND stripe_account_id IS NOT NULL
                        UNION ALL
                       SELECT stripe_account_id, $7 FROM stripe_accounts WHERE paid_at > $1 - $3) each
                 GROUP BY account),
             wanted AS (
                SELECT account, every FROM used LEFT JOIN stripe_event_cursors c USING (account)
                 WHERE c.asked_at IS NULL OR c.asked_at <= $1 - every OR c.asked_at > $1 + interval '1 hour'
                 ORDER BY account <> '', every, c.asked_at NULLS FIRST LIMIT $8),
             asked AS (
                INSERT INTO stripe_event_cursors (account, asked_at) SELECT account, $1 FROM wanted
                ON CONFLICT (account) DO UPDATE SET asked_at = $1
                   WHERE stripe_event_cursors.asked_at <= $1 - $2 OR stripe_event_cursors.asked_at > $1 + interval '1 hour'
                RETURNING account)
             INSERT INTO jobs (queue, kind, payload, unique_key, run_at, created_at)
             SELECT $4, $5, jsonb_build_object('v', 1, 'account', account), 'events:' || account, $1, $1 FROM asked
             ON CONFLICT (unique_key) DO NOTHING",
        )
        .bind::<Timestamptz, _>(now)
        .bind::<Interval, _>(READ_EVERY)
        .bind::<Interval, _>(ACCOUNT_READ_FOR)
        .bind::<Text, _>(JobKind::PageEvents.queue().as_str())
        .bind::<Text, _>(JobKind::PageEvents.as_str())
        .bind::<Interval, _>(ACCOUNT_READ_EVERY)
        .bind::<Interval, _>(QUIET_ACCOUNT_READ_EVERY)
        .bind::<BigInt, _>(granted)
        .execute(conn)
        .await?;
        budget::give_back(conn, Bucket::Sweeps, unused(granted, queued)).await?;
        Ok(queued)
    })
}

fn unused(granted: i64, queued: usize) -> i64 {
    granted
        .saturating_sub(i64::try_from(queued).unwrap_or(i64::MAX))
        .max(0)
}
