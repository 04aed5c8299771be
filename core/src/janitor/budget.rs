//! How many questions the housekeeping may put to Stripe: a token bucket in the table `call_budgets`, which all workers share.
//!
//! Stripe allows a platform so many calls per second, whoever makes them (<https://docs.stripe.com/rate-limits>). What people wait for comes
//! first, so the sweeps have a share of their own, and leave the rest alone.

use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{Double, Text, Timestamptz};
use diesel_async::RunQueryDsl;

use crate::db::{DbError, PgConn, sql};

const SWEEPS: &str = "sweeps";

/// One of so many calls may be a sweep's.
const SHARE: u32 = 4;

/// The most that may be asked at once after a quiet time, in seconds of the share.
const BURST_SECONDS: u32 = 10;

/// How many calls the platform may make, and what of it the sweeps may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallBudget {
    per_second: u32,
}

impl CallBudget {
    /// A budget of so many calls per second for everything together.
    #[must_use]
    pub const fn new(per_second: u32) -> Self {
        Self { per_second }
    }

    /// Questions per second of the sweeps.
    #[must_use]
    #[expect(clippy::float_arithmetic, reason = "a rate of questions, no money")]
    pub fn sweeps_per_second(self) -> f64 {
        f64::from(self.per_second) / f64::from(SHARE)
    }

    /// The most questions of the sweeps at once.
    #[must_use]
    pub fn burst(self) -> i64 {
        let burst = self.per_second.saturating_mul(BURST_SECONDS) / SHARE;
        // At least one, or nothing would ever be asked.
        i64::from(burst).max(1)
    }
}

#[derive(QueryableByName)]
struct Tokens {
    #[diesel(sql_type = Double)]
    tokens: f64,
}

/// Takes leave for up to `wanted` questions, in the caller's transaction; gives how many.
pub(super) async fn take(
    conn: &mut PgConn,
    budget: CallBudget,
    wanted: i64,
    now: DateTime<Utc>,
) -> Result<i64, DbError> {
    let found: Tokens = sql(
        "INSERT INTO call_budgets AS b (name, tokens, refilled_at) VALUES ($1, $2, $4)
         ON CONFLICT (name) DO UPDATE
            SET tokens = LEAST($2, b.tokens + GREATEST(0, extract(epoch FROM $4 - b.refilled_at))::float8 * $3), refilled_at = $4
         RETURNING tokens",
    )
    .bind::<Text, _>(SWEEPS)
    .bind::<Double, _>(whole(budget.burst()))
    .bind::<Double, _>(budget.sweeps_per_second())
    .bind::<Timestamptz, _>(now)
    .get_result(conn)
    .await?;
    let granted = (0..=wanted.max(0))
        .rev()
        .find(|count| whole(*count) <= found.tokens)
        .unwrap_or_default();
    change(conn, -granted).await?;
    Ok(granted)
}

/// Gives back what was not used, in the same transaction.
pub(super) async fn give_back(conn: &mut PgConn, unused: i64) -> Result<(), DbError> {
    change(conn, unused).await
}

async fn change(conn: &mut PgConn, by: i64) -> Result<(), DbError> {
    if by == 0 {
        return Ok(());
    }
    sql("UPDATE call_budgets SET tokens = GREATEST(0, tokens + $2) WHERE name = $1")
        .bind::<Text, _>(SWEEPS)
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
    fn a_quarter_of_the_calls_are_the_sweeps() {
        let budget = CallBudget::new(20);
        assert!((budget.sweeps_per_second() - 5.0).abs() < f64::EPSILON);
        assert_eq!(budget.burst(), 50);
        assert_eq!(CallBudget::new(1).burst(), 2);
        assert_eq!(CallBudget::new(0).burst(), 1);
    }
}
