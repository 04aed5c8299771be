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
    /// How many transactions waited at healing: not final although they were a second old.
    pub(crate) waited: i64,
    /// Until the first of them moved on; none when none waited.
    pub(crate) resumed_ms: Option<u128>,
    /// Until everything that waited at healing was final.
    pub(crate) done_ms: Option<u128>,
}

impl Recovered {
    /// Whether it was fast enough.
    pub(crate) fn holds(&self) -> bool {
        (self.waited == 0
            || self
                .resumed_ms
                .is_some_and(|ms| ms <= RESUMES_WITHIN.0.as_millis()))
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
        let ((waited, resumed), done) = tokio::join!(
            resumed(&session, &healed),
            session.drained(&healed, DONE_WITHIN * 2)
        );
        let row = Recovered {
            fault,
            reached,
            waited,
            resumed_ms: resumed.map(|time| time.as_millis()),
            done_ms: done.map(|time| time.as_millis()),
        };
        say(&format!(
            "    {fault}: reached {}, {} waited, resumed after {} ms, all that waited was done after {} ms",
            row.reached,
            row.waited,
            known(row.resumed_ms),
            known(row.done_ms)
        ));
        rows.push(row);
    }
    let counts = session.end(0).await?;
    Ok((rows, counts))
}

/// How many transactions waited at healing, and until the first of them moved on.
async fn resumed(session: &Session, healed: &str) -> (i64, Option<Duration>) {
    let start = Instant::now();
    let waiting = format!(
        "SELECT count(*) FROM wallet_transactions
          WHERE created_at < timestamptz '{healed}' - interval '1 second'
            AND status IN ('pending', 'processing') AND updated_at < '{healed}'"
    );
    let mut at_first = None;
    while start.elapsed() < DONE_WITHIN * 2 {
        match (session.world.database.number(&waiting).await, at_first) {
            (Ok(0), None) => return (0, None),
            (Ok(now), None) => at_first = Some(now),
            (Ok(now), Some(first)) if now < first => return (first, Some(start.elapsed())),
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (at_first.unwrap_or(0), None)
}

/// A number, if there is one.
fn known(millis: Option<u128>) -> String {
    millis.map_or_else(|| "-".to_owned(), |millis| millis.to_string())
}

/// The median of how fast work resumed, and whether that is fast enough.
pub(crate) fn median(rows: &[Recovered]) -> (u128, bool) {
    let mut times: Vec<u128> = rows.iter().filter_map(|row| row.resumed_ms).collect();
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or(0);
    (median, median <= RESUMES_WITHIN.1.as_millis())
}
