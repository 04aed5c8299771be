//! How fast waiting work resumes after a single fault has healed.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;
use wallet_dev::say::say;

use crate::nemesis;
use crate::session::Session;
use crate::tally::Counts;
use crate::world::Wanted;

/// Waiting work goes on so long after a single fault has healed, at most and in the median.
const RESUMES_WITHIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(1));
/// What waited, or was held by a process that died, is done so long after.
const DONE_WITHIN: Duration = Duration::from_secs(35);

/// One fault.
#[derive(Debug, Serialize)]
pub(crate) struct Recovered {
    /// Which.
    pub(crate) fault: &'static str,
    /// Whether it was really reached.
    pub(crate) reached: u64,
    /// Until the first transaction came to its end after healing.
    pub(crate) resumed_ms: Option<u128>,
    /// Until everything that waited at healing was final.
    pub(crate) done_ms: Option<u128>,
}

impl Recovered {
    /// Whether it was fast enough.
    pub(crate) fn holds(&self) -> bool {
        self.resumed_ms
            .is_some_and(|ms| ms <= RESUMES_WITHIN.0.as_millis())
            && self.done_ms.is_some_and(|ms| ms <= DONE_WITHIN.as_millis())
    }
}

/// Does every fault of the lanes once, one at a time.
pub(crate) async fn run(folder: &Path) -> Result<(Vec<Recovered>, Counts)> {
    let session = Session::start(8, folder, Wanted::default(), Duration::from_millis(500)).await?;
    let mut rows = Vec::new();
    for fault in nemesis::singles() {
        let reached = match nemesis::once(&session.world, fault).await {
            Ok(reached) => reached,
            Err(error) => {
                say(&format!("    {fault} could not be done: {error:#}"));
                session.world.mend().await?;
                0
            }
        };
        session.tally.ordered(fault);
        session.tally.reached(fault, reached);
        let healed = Session::now();
        let (resumed, done) = tokio::join!(
            resumed(&session, &healed),
            session.drained(&healed, DONE_WITHIN * 2)
        );
        let row = Recovered {
            fault,
            reached,
            resumed_ms: resumed.map(|time| time.as_millis()),
            done_ms: done.map(|time| time.as_millis()),
        };
        say(&format!(
            "    {fault}: reached {}, resumed after {:?} ms, what waited was done after {:?} ms",
            row.reached,
            row.resumed_ms.unwrap_or(u128::MAX),
            row.done_ms.unwrap_or(u128::MAX)
        ));
        rows.push(row);
    }
    let counts = session.end(0).await?;
    Ok((rows, counts))
}

async fn resumed(session: &Session, healed: &str) -> Option<Duration> {
    let start = Instant::now();
    let sql = format!(
        "SELECT count(*) FROM wallet_transactions WHERE status IN ('completed', 'failed', 'cancelled') AND updated_at > '{healed}'"
    );
    while start.elapsed() < DONE_WITHIN * 2 {
        if session
            .world
            .database
            .number(&sql)
            .await
            .is_ok_and(|ended| ended > 0)
        {
            return Some(start.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    None
}

/// The median of how fast work resumed, and whether that is fast enough.
pub(crate) fn median(rows: &[Recovered]) -> (u128, bool) {
    let mut times: Vec<u128> = rows.iter().filter_map(|row| row.resumed_ms).collect();
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or(0);
    (median, median <= RESUMES_WITHIN.1.as_millis())
}
