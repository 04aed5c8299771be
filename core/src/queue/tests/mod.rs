//! The transport and its consumers against real Redis servers, whole and broken.

mod delivery;
mod faults;
mod garbage;
mod tidy;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::ids::JobId;
use crate::jobs::QueueName;
use crate::locks::test_redis::RedisProcess;

const QUEUE: QueueName = QueueName::Transfers;
const GRACE: Duration = Duration::from_secs(5);

/// The jobs that handlers were given, and how often.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<BTreeMap<JobId, usize>>>);

impl Seen {
    fn note(&self, jobs: &[JobId]) {
        let mut seen = self.0.lock().unwrap();
        jobs.iter().for_each(|job| *seen.entry(*job).or_default() += 1);
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn has(&self, job: i64) -> bool {
        self.0.lock().unwrap().contains_key(&JobId(job))
    }

    fn times(&self, job: i64) -> usize {
        self.0
            .lock()
            .unwrap()
            .get(&JobId(job))
            .copied()
            .unwrap_or_default()
    }

    /// A handler that records its jobs after `work`.
    fn after(&self, work: Duration) -> TaskHandler {
        let seen = self.clone();
        Arc::new(move |jobs| {
            let seen = seen.clone();
            async move {
                tokio::time::sleep(work).await;
                seen.note(&jobs);
            }
            .boxed()
        })
    }

    fn at_once(&self) -> TaskHandler {
        let seen = self.clone();
        Arc::new(move |jobs| {
            seen.note(&jobs);
            std::future::ready(()).boxed()
        })
    }
}

/// A running consumer, stopped with [`Running::stop`].
struct Running {
    health: ConsumerHealth,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn start(transport: &QueueTransport, concurrency: usize, handler: TaskHandler) -> Self {
        let consumer = Consumer::new(transport.clone(), QUEUE, concurrency, handler, "test:1");
        let shutdown = CancellationToken::new();
        Self {
            health: consumer.health(),
            task: tokio::spawn(consumer.run(shutdown.clone(), GRACE)),
            shutdown,
        }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(GRACE * 2, self.task)
            .await
            .expect("a consumer stops")
            .unwrap();
    }
}

async fn transport(redis: &RedisProcess) -> QueueTransport {
    QueueTransport::connect(&redis.url(), "test").await.unwrap()
}

fn one_each(jobs: std::ops::Range<i64>) -> Vec<Vec<JobId>> {
    jobs.map(|job| vec![JobId(job)]).collect()
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The id of the task that carries `job` and nothing else.
fn task_of(redis: &RedisProcess, job: i64) -> String {
    let payload = format!("{{\"v\":1,\"jobs\":[{job}]}}");
    let tasks: BTreeMap<String, String> = redis.run(&["HGETALL", "test:{transfers}:data"]);
    tasks
        .into_iter()
        .find(|(_, data)| *data == payload)
        .expect("it was pushed")
        .0
}

/// Pushes until it succeeds, as the dispatcher does.
async fn push_until_it_works(transport: &QueueTransport, groups: Vec<Vec<JobId>>) {
    let begun = Instant::now();
    while transport.push(QUEUE, groups.clone()).await.is_err() {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "the transport never comes back"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
