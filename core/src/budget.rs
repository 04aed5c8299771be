//! How many requests the housekeeping may send to Stripe: token buckets in the table `call_budgets`, which all programs share.
//!
//! Stripe allows a platform so many calls per second, whichever program makes them (<https://docs.stripe.com/rate-limits>). What people wait for
//! comes first, so the housekeeping has shares of its own and leaves the rest alone. The polls and the comparison with Stripe have a bucket
//! each, so that one that sends requests for hours does not starve the other.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::sql_types::{Double, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use strum::IntoStaticStr;

use crate::clock::SharedClock;
use crate::db::{Db, DbError, Only, PgConn, in_transaction, sql};

/// The maximum burst after a quiet time, in seconds of a bucket's rate.
const BURST_SECONDS: u32 = 10;

/// The interval at which a waiting request checks whether the budget allows it.
const CHECK_AGAIN: Duration = Duration::from_millis(250);

/// The kinds of housekeeping that have a share of the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Bucket {
    /// Polls of quiet transactions, and lists of events: a quarter.
    #[strum(serialize = "sweeps")]
    Polls,
    /// The comparison of the ledger with Stripe: an eighth.
    Comparison,
}

impl Bucket {
    /// Returns its name in the table.
    fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the divisor of its share: it may make one of this many calls.
    const fn share(self) -> u32 {
        match self {
            Self::Polls => 4,
            Self::Comparison => 8,
        }
    }
}

/// The number of calls that the platform may make, and the shares of it that the housekeeping may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallBudget {
    per_second: u32,
}

impl CallBudget {
    /// Creates a budget of this many calls per second for everything together.
    #[must_use]
    pub const fn new(per_second: u32) -> Self {
        Self { per_second }
    }

    /// Returns the requests per second of a bucket.
    #[must_use]
    #[expect(clippy::float_arithmetic, reason = "a rate of questions, no money")]
    pub fn per_second(self, bucket: Bucket) -> f64 {
        f64::from(self.per_second) / f64::from(bucket.share())
    }

    /// Returns the maximum number of requests of a bucket at once.
    #[must_use]
    pub fn burst(self, bucket: Bucket) -> i64 {
        let burst = self.per_second.saturating_mul(BURST_SECONDS) / bucket.share();
        // At least one, or no request would ever be sent.
        i64::from(burst).max(1)
    }
}

/// Waits until one more request of `bucket` may be sent; all programs share the bucket.
///
/// # Errors
/// When the database cannot be reached.
pub(crate) async fn wait(
    db: &Db,
    budget: CallBudget,
    bucket: Bucket,
    clock: &SharedClock,
) -> Result<(), DbError> {
    loop {
        let granted = in_transaction!(db, conn => take(conn, budget, bucket, 1, clock.now()).await)?;
        if granted > 0 {
            return Ok(());
        }
        tokio::time::sleep(CHECK_AGAIN).await;
    }
}

/// Reserves up to `wanted` requests, in the caller's transaction; returns how many.
pub(crate) async fn take(
    conn: &mut PgConn,
    budget: CallBudget,
    bucket: Bucket,
    wanted: i64,
    now: DateTime<Utc>,
) -> Result<i64, DbError> {
    let found: Only<Double, f64> = sql(
        "INSERT INTO call_budgets AS b (name, tokens, refilled_at) VALUES ($1, $2, $4)
         ON CONFLICT (name) DO UPDATE
            SET tokens = LEAST($2, b.tokens + GREATEST(0, extract(epoch FROM $4 - b.refilled_at))::float8 * $3), refilled_at = $4
         RETURNING tokens",
    )
    .bind::<Text, _>(bucket.as_str())
    .bind::<Double, _>(whole(budget.burst(bucket)))
    .bind::<Double, _>(budget.per_second(bucket))
    .bind::<Timestamptz, _>(now)
    .get_result(conn)
    .await?;
    let granted = (0..=wanted.max(0))
        .rev()
        .find(|count| whole(*count) <= found.value)
        .unwrap_or_default();
    change(conn, bucket, -granted).await?;
    Ok(granted)
}

/// Returns unused requests to the bucket, in the same transaction.
pub(crate) async fn return_unused(conn: &mut PgConn, bucket: Bucket, unused: i64) -> Result<(), DbError> {
    change(conn, bucket, unused).await
}

async fn change(conn: &mut PgConn, bucket: Bucket, by: i64) -> Result<(), DbError> {
    if by == 0 {
        return Ok(());
    }
    sql("UPDATE call_budgets SET tokens = GREATEST(0, tokens + $2) WHERE name = $1")
        .bind::<Text, _>(bucket.as_str())
        .bind::<Double, _>(whole(by))
        .execute(conn)
        .await?;
    Ok(())
}

/// A count as a number of tokens; counts are small.
fn whole(count: i64) -> f64 {
    i32::try_from(count).map_or(f64::from(i32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_calls_are_the_sweeps_and_an_eighth_the_comparison_s() {
        let budget = CallBudget::new(20);
        assert!((budget.per_second(Bucket::Polls) - 5.0).abs() < f64::EPSILON);
        assert!((budget.per_second(Bucket::Comparison) - 2.5).abs() < f64::EPSILON);
        assert_eq!(
            (budget.burst(Bucket::Polls), budget.burst(Bucket::Comparison)),
            (50, 25)
        );
        assert_eq!(CallBudget::new(1).burst(Bucket::Polls), 2);
        assert_eq!(CallBudget::new(0).burst(Bucket::Comparison), 1);
    }
}
