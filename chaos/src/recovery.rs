//! Measures how fast waiting work resumes after a single fault has healed.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;
use wallet_dev::pace;
use wallet_dev::say::say;

use crate::nemesis;
use crate::session::Session;
use crate::tally::Counts;
use crate::world::Wanted;

/// How soon waiting work must resume after a single fault has healed: at most, and in the median.
const RESUMES_WITHIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(1));
/// How soon work that waited, or was held by a process that died or was stopped, must be done.
const DONE_WITHIN: Duration = Duration::from_secs(35);
/// The same for lost webhooks: nothing reports them, and their transaction is polled once it has been quiet for a minute.
const UNTOLD_DONE_WITHIN: Duration = Duration::from_secs(95);
/// How long the locks of a killed worker take to lapse; until then they would be attributed to the next fault.
const LOCKS_LAPSE: Duration = Duration::from_secs(31);

/// The maximum number of times that a fault is carried out if it should have made something wait and did not.
const MOST_TRIES: u32 = 4;
/// The number of withdrawals under way when a fault is repeated.
const UNDER_WAY: usize = 6;

/// Returns why nothing need wait after a fault has healed: the system does not stop for it. For every other
/// fault something must have waited, or nothing was measured.
fn does_not_stop(fault: &str) -> Option<&'static str> {
    Some(match fault {
        "F02 an API's COMMIT is lost" => "what is not committed is not accepted",
        "F02 the answer to an API's COMMIT is lost" => "what is committed is done at once",
        "F11 a worker's COMMIT or its answer is lost" => "commits are lost for less than a second",
        "F23 link of the webhooks" => "only what Stripe tells later waits for webhooks",
        "F01-F03 kill -9 of an API" => "another API answers",
        "F30 leases lapse while their workers work" => "another worker takes over at once",
        "F39 SIGTERM and a new process" => "running jobs end, two workers go on",
        "F41 checks due for every worker, the checking one dies" => "checks hold nobody up",
        "F25 queue emptied (FLUSHALL)" | "F25 queue restarted empty" => "jobs are dispatched again",
        "F26 link to the queue" | "F26 queue stalled" | "F27 queue fails over to a replica that lags" => {
            "due jobs are taken from the table"
        }
        "F28 link to a lock node" => "a draw may leave every process two nodes of three",
        "F28 lock node hung" | "F28 lock node restarted empty" => "two nodes of three grant locks",
        "F31 every job dispatched again" => "more deliveries, none fewer",
        "F18 webhooks ten times" | "F19 webhooks reordered" => "every webhook comes",
        _ => return None,
    })
}

fn done_within(fault: &str) -> Duration {
    pace::scaled(if fault == "F22 webhooks lost" {
        UNTOLD_DONE_WITHIN
    } else {
        DONE_WITHIN
    })
}

/// Whether a fault ends or stops the process that holds the work: then the work resumes when its lease and its lock have lapsed.
fn takes_the_holder(fault: &str) -> bool {
    ["F08", "F30 worker stopped", "F41"]
        .iter()
        .any(|name| fault.starts_with(name))
}

/// The result of one fault.
#[derive(Debug, Serialize)]
pub(crate) struct Recovered {
    /// The fault.
    pub(crate) fault: &'static str,
    /// How often it was carried out.
    pub(crate) tries: u32,
    /// How often it was really reached.
    pub(crate) reached: u64,
    /// How many transactions waited when it last healed: older than a second and not final.
    pub(crate) waited: i64,
    /// Why nothing need wait for it, if so.
    pub(crate) does_not_stop: Option<&'static str>,
    /// The time until the first of them moved on, or `None` if none waited or none moved on.
    pub(crate) resumed_ms: Option<u128>,
    /// The time until everything that waited at healing was final.
    pub(crate) done_ms: Option<u128>,
}

impl Recovered {
    /// Whether the resumption of work was measured, or there was nothing to measure.
    fn is_measured(&self) -> bool {
        self.reached > 0 && (self.waited > 0 || self.does_not_stop.is_some())
    }

    /// Whether work resumed and was done fast enough.
    fn is_fast(&self) -> bool {
        let within = pace::scaled(if takes_the_holder(self.fault) {
            DONE_WITHIN
        } else {
            RESUMES_WITHIN.0
        });
        (self.waited == 0 || self.resumed_ms.is_some_and(|ms| ms <= within.as_millis()))
            && self
                .done_ms
                .is_some_and(|ms| ms <= done_within(self.fault).as_millis())
    }

    /// Whether it was measured and fast enough.
    pub(crate) fn holds(&self) -> bool {
        self.is_measured() && self.is_fast()
    }

    /// Describes how fast work resumed.
    pub(crate) fn resumed(&self) -> String {
        match (self.waited, self.does_not_stop) {
            (0, Some(_)) => "-".to_owned(),
            (0, None) => "not measured".to_owned(),
            _ => self
                .resumed_ms
                .map_or_else(|| "never".to_owned(), |ms| format!("{ms} ms")),
        }
    }
}

/// Carries out those of the lanes' faults that are `wanted`, one at a time, each until something waited for it.
pub(crate) async fn run(folder: &Path, wanted: &[&'static str]) -> Result<(Vec<Recovered>, Counts)> {
    let session = Session::start(8, folder, Wanted::default(), Duration::from_millis(500)).await?;
    let mut rows = Vec::new();
    for fault in nemesis::singles().filter(|fault| wanted.contains(fault)) {
        let began = Instant::now();
        let mut row = measure(&session, fault, 0).await?;
        while row.is_fast() && !row.is_measured() && row.tries < MOST_TRIES {
            session.put_under_way(UNDER_WAY).await;
            let reached = row.reached;
            row = measure(&session, fault, row.tries).await?;
            row.reached += reached;
        }
        say(&format!(
            "    {fault}: reached {}, {} waited, resumed after {}, all that waited was done after {} ms",
            row.reached,
            row.waited,
            row.resumed(),
            known(row.done_ms)
        ));
        rows.push(row);
        if takes_the_holder(fault) {
            tokio::time::sleep(LOCKS_LAPSE.saturating_sub(began.elapsed())).await;
        }
    }
    let counts = session.end(0).await?;
    Ok((rows, counts))
}

async fn measure(session: &Session, fault: &'static str, again: u32) -> Result<Recovered> {
    let reached = match nemesis::once(&session.world, fault, again).await {
        Ok(reached) => reached,
        Err(error) => {
            say(&format!("    {fault} could not be done: {error:#}"));
            session.world.fix().await?;
            0
        }
    };
    session.tally.ordered(fault);
    session.tally.reached(fault, reached);
    let healed = Session::now();
    let ((waited, resumed), done) = tokio::join!(
        resumed(session, &healed),
        session.drained(&healed, done_within(fault) * 2)
    );
    Ok(Recovered {
        fault,
        tries: again + 1,
        reached,
        waited,
        does_not_stop: does_not_stop(fault),
        resumed_ms: resumed.map(|time| time.as_millis()),
        done_ms: done.map(|time| time.as_millis()),
    })
}

/// Returns how many transactions waited at healing, and how long it took until the first of them moved on.
async fn resumed(session: &Session, healed: &str) -> (i64, Option<Duration>) {
    let start = Instant::now();
    let waiting = format!(
        "SELECT count(*) FROM wallet_transactions
          WHERE created_at < timestamptz '{healed}' - interval '1 second'
            AND status IN ('pending', 'processing') AND updated_at < '{healed}'"
    );
    let mut at_first = None;
    while start.elapsed() < pace::scaled(DONE_WITHIN) * 2 {
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

/// Formats a number of milliseconds, if there is one.
fn known(millis: Option<u128>) -> String {
    millis.map_or_else(|| "-".to_owned(), |millis| millis.to_string())
}

/// Returns the median time until work resumed, and whether that is fast enough; `None` if no row measured it.
pub(crate) fn median(rows: &[Recovered]) -> Option<(u128, bool)> {
    let mut times: Vec<u128> = rows.iter().filter_map(|row| row.resumed_ms).collect();
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied()?;
    Some((median, median <= pace::scaled(RESUMES_WITHIN.1).as_millis()))
}

/// Whether there is nothing to measure: the system stops for none of these faults.
pub(crate) fn is_none_waited_for(rows: &[Recovered]) -> bool {
    !rows.is_empty() && rows.iter().all(|row| row.does_not_stop.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(reached: u64, waited: i64, does_not_stop: Option<&'static str>) -> Recovered {
        Recovered {
            fault: "one",
            tries: 1,
            reached,
            waited,
            does_not_stop,
            resumed_ms: (waited > 0).then_some(300),
            done_ms: Some(400),
        }
    }

    #[test]
    fn what_was_not_measured_does_not_hold() {
        assert!(row(1, 2, None).holds());
        assert!(!row(0, 2, None).holds());
        assert!(!row(1, 0, None).holds());
        assert!(row(1, 0, Some("another goes on")).holds());
        assert!(!row(0, 0, Some("another goes on")).holds());
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[row(1, 0, None)]), None);
        assert_eq!(median(&[row(1, 1, None)]), Some((300, true)));
    }
}
