//! PostgreSQL's clock, which the clocks of all programs follow: what one of them writes as due now is due now for every other.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::QueryableByName;
use diesel::sql_types::Timestamptz;
use diesel_async::RunQueryDsl;
use tokio_util::sync::CancellationToken;

use super::{Db, DbError, sql};
use crate::clock::SharedClock;
use crate::error_chain::chain;

/// How often it is read.
const EVERY: Duration = Duration::from_secs(5);
/// An answer that took longer says too little about now.
const LONGEST: Duration = Duration::from_millis(500);

#[derive(QueryableByName)]
struct Now {
    #[diesel(sql_type = Timestamptz)]
    now: DateTime<Utc>,
}

/// Tells the clock what PostgreSQL's says.
///
/// # Errors
/// When the database cannot be reached.
pub async fn set_clock(db: &Db, clock: &SharedClock) -> Result<(), DbError> {
    let mut conn = db.conn().await?;
    let asked = Instant::now();
    let told: Now = sql("SELECT clock_timestamp() AS now")
        .get_result(&mut conn)
        .await?;
    let took = asked.elapsed();
    if took <= LONGEST {
        clock.observe(told.now + TimeDelta::from_std(took / 2).unwrap_or_default());
    }
    Ok(())
}

/// Tells it again and again, until `shutdown`.
pub async fn keep_clock(db: Db, clock: SharedClock, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if let Err(error) = set_clock(&db, &clock).await {
            tracing::debug!(error = %chain(&error), "PostgreSQL's clock could not be read");
        }
    }
}
