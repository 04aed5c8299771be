//! PostgreSQL's clock, which the clocks of all programs follow: what one program writes as due now is due now for all others.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::sql_types::Timestamptz;
use diesel_async::RunQueryDsl;
use tokio_util::sync::CancellationToken;

use super::{Db, DbError, Only, sql};
use crate::clock::SharedClock;
use crate::error_chain::chain;

/// How often PostgreSQL's clock is read.
const EVERY: Duration = Duration::from_secs(5);
/// An answer that took longer is ignored: the time in it is too imprecise.
const LONGEST: Duration = Duration::from_millis(500);

/// Reads PostgreSQL's clock and reports it to `clock`.
///
/// # Errors
/// When the database cannot be reached.
pub async fn set_clock(db: &Db, clock: &SharedClock) -> Result<(), DbError> {
    let mut conn = db.conn().await?;
    let asked = Instant::now();
    let told: Only<Timestamptz, DateTime<Utc>> = sql("SELECT clock_timestamp() AS now")
        .get_result(&mut conn)
        .await?;
    let took = asked.elapsed();
    if took <= LONGEST {
        clock.observe(told.value + TimeDelta::from_std(took / 2).unwrap_or_default());
    }
    Ok(())
}

/// Does so repeatedly, until `shutdown`.
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
