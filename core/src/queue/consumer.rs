//! A consumer: the supervised worker of one queue in this process.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use redis::aio::MultiplexedConnection;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::life::{StartedTasks, connect, live};
use super::members::BEAT;
use super::{QueueTransport, TransportError, wake};
use crate::failpoints::{self, Point};
use crate::ids::JobId;
use crate::jobs::QueueName;

/// The pause before the worker is started again: it doubles from the first value up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// After a run of at least this length the worker is started again after the shortest pause.
const GOOD_LIFE: Duration = Duration::from_secs(5);
/// How often finished tasks are removed from Redis while there are any.
const PURGE: Duration = Duration::from_millis(250);

/// Handles a group of jobs. It records its outcome in PostgreSQL; a panic is caught and logged.
pub type TaskHandler = Arc<dyn Fn(Vec<JobId>) -> BoxFuture<'static, ()> + Send + Sync>;

/// What all runs of a consumer's worker share.
pub(super) struct Shared {
    pub(super) transport: QueueTransport,
    pub(super) queue: QueueName,
    pub(super) concurrency: usize,
    pub(super) handler: TaskHandler,
    /// The handlers that are running, of this run of the worker and of earlier ones.
    pub(super) running: TaskTracker,
    pub(super) slots: Arc<Semaphore>,
    /// Ends the wait of a fetch that is held back.
    pub(super) wake: Arc<Notify>,
    /// Makes an idle worker start a fetch.
    pub(super) look: Arc<Notify>,
    health: ConsumerHealth,
    finished: AtomicU64,
}

impl Shared {
    pub(super) fn note_poll(&self) {
        *self
            .health
            .0
            .polled
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Puts aside what is not a task. Does nothing while Redis is away; the supervisor tries again.
    async fn put_aside(&self) {
        if let Ok(what) = self.transport.put_aside(self.queue).await {
            self.tell(what);
        }
    }

    /// Records that a task was dropped which may have carried jobs, so that all jobs are dispatched again.
    pub(super) async fn dropped_garbage(&self, what: Vec<String>) {
        tracing::error!(queue = %self.queue, ?what, "dropped: it is no task");
        let _ = self.transport.unmark(self.queue).await;
        self.tell(what);
    }

    fn tell(&self, what: Vec<String>) {
        let mut aside = self.health.0.aside.lock().unwrap_or_else(PoisonError::into_inner);
        let room = KEPT_DESCRIPTIONS.saturating_sub(aside.len());
        aside.extend(what.into_iter().take(room));
    }

    pub(super) fn note_finished(&self) {
        self.finished.fetch_add(1, Ordering::Relaxed);
    }
}

/// The state of a consumer, readable while it runs; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct ConsumerHealth(Arc<HealthState>);

#[derive(Debug, Default)]
struct HealthState {
    polled: Mutex<Option<Instant>>,
    restarts: AtomicU64,
    /// How many of the last runs in a row ended soon after their start.
    short_lives: AtomicU32,
    /// Descriptions of what was put aside and has not been reported yet.
    aside: Mutex<Vec<String>>,
}

/// The maximum number of unreported descriptions that are kept.
const KEPT_DESCRIPTIONS: usize = 20;
/// After this many short runs in a row the worker counts as failing: a single one may be due to a lost connection.
const FAILING_AFTER: u32 = 2;

impl ConsumerHealth {
    /// Time since Redis last answered the worker, `None` before the first answer. Above 15 s it stands still.
    #[must_use]
    pub fn since_last_poll(&self) -> Option<Duration> {
        self.0
            .polled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .map(|at| at.elapsed())
    }

    /// How often the worker had to be started again.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.0.restarts.load(Ordering::Relaxed)
    }

    /// Whether the worker keeps ending as soon as it has started, even though Redis may answer others.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.0.short_lives.load(Ordering::Relaxed) >= FAILING_AFTER
    }

    /// Takes the descriptions of what was put aside since the last call because it was not a task: 20 at most.
    #[must_use]
    pub fn take_put_aside(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.aside.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The worker of one queue, started again whenever it ends.
pub struct Consumer {
    shared: Arc<Shared>,
    name: String,
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer")
            .field("queue", &self.shared.queue)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Consumer {
    /// Creates a consumer that passes the groups of `queue` to `handler`, up to `concurrency` at once (at least one).
    ///
    /// `worker_name_prefix` is meant for people (host and process id); what makes each run's name unique is appended.
    #[must_use]
    pub fn new(
        transport: QueueTransport,
        queue: QueueName,
        concurrency: usize,
        handler: TaskHandler,
        worker_name_prefix: &str,
    ) -> Self {
        let concurrency = concurrency.clamp(1, Semaphore::MAX_PERMITS);
        // It only has to be distinct across processes, which in containers may share host name and process id.
        let name = format!("{worker_name_prefix}:{:08x}", rand::random::<u32>());
        let shared = Shared {
            transport,
            queue,
            concurrency,
            handler,
            running: TaskTracker::new(),
            slots: Arc::new(Semaphore::new(concurrency)),
            wake: Arc::new(Notify::new()),
            look: Arc::new(Notify::new()),
            health: ConsumerHealth::default(),
            finished: AtomicU64::new(0),
        };
        Self {
            shared: Arc::new(shared),
            name,
        }
    }

    /// Returns a view of the consumer's state, to be kept while it runs.
    #[must_use]
    pub fn health(&self) -> ConsumerHealth {
        self.shared.health.clone()
    }

    /// Works until `shutdown`, whatever happens to Redis. Then it fetches nothing more and returns when the running
    /// handlers have finished, or after `grace`.
    pub async fn run(self, shutdown: CancellationToken, grace: Duration) {
        let shared = &self.shared;
        let current = Arc::new(Mutex::new(None));
        let give_up = CancellationToken::new();
        let helpers = self.start_helpers(&shutdown, &current, grace, &give_up);

        let mut unreaped: Vec<(String, StartedTasks)> = Vec::new();
        let (mut pause, longest) = PAUSE;
        for life in 0_u64.. {
            let born = Instant::now();
            let error = match self.begin(&mut unreaped).await {
                Err(error) => error.to_string(),
                Ok(connection) => {
                    let name = format!("{}:{life}", self.name);
                    *current.lock().unwrap_or_else(PoisonError::into_inner) = Some(name.clone());
                    // Entered in our list before apalis enters it in its own: so no worker can die unnoticed.
                    let _ = shared.transport.beat(shared.queue, &name).await;
                    let begun = StartedTasks::default();
                    let ended = live(shared, connection, &name, &begun, &shutdown, &give_up).await;
                    unreaped.push((name, begun));
                    ended.err().map(|error| error.to_string()).unwrap_or_default()
                }
            };
            if shutdown.is_cancelled() {
                break;
            }
            tracing::warn!(queue = %shared.queue, error, "the worker ended: it is started again");
            shared.health.0.restarts.fetch_add(1, Ordering::Relaxed);
            let short_lives = &shared.health.0.short_lives;
            if born.elapsed() > GOOD_LIFE {
                pause = PAUSE.0;
                short_lives.store(0, Ordering::Relaxed);
            } else {
                short_lives.fetch_add(1, Ordering::Relaxed);
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = shutdown.cancelled() => break,
            }
            pause = (pause * 2).min(longest);
        }
        shared.running.close();
        tokio::select! {
            () = shared.running.wait() => {}
            () = give_up.cancelled() => {
                tracing::warn!(queue = %shared.queue, left = shared.running.len(), "handlers still run after the grace");
            }
        }
        drop(helpers);
        let _ = self.reap(&mut unreaped).await;
        let _ = shared.transport.purge(shared.queue).await;
    }

    /// Starts the subscription, the housekeeping and the timer of the grace; they end when the returned guard is dropped.
    fn start_helpers(
        &self,
        shutdown: &CancellationToken,
        current: &Arc<Mutex<Option<String>>>,
        grace: Duration,
        give_up: &CancellationToken,
    ) -> DropGuard {
        let stop = CancellationToken::new();
        let transport = &self.shared.transport;
        let channel = transport.names(self.shared.queue).channel().to_owned();
        let client = transport.link().client().clone();
        tokio::spawn(wake::listen(
            client,
            channel,
            [Arc::clone(&self.shared.wake), Arc::clone(&self.shared.look)],
            stop.clone(),
        ));
        tokio::spawn(keep_house(
            Arc::clone(&self.shared),
            Arc::clone(current),
            stop.clone(),
        ));
        let (shutdown, give_up) = (shutdown.clone(), give_up.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            shutdown.cancelled().await;
            sleep(grace).await;
            give_up.cancel();
        }));
        stop.drop_guard()
    }

    /// Connects for the next run of the worker, reaps the earlier runs and puts aside what is not a task. It does both twice if reaping fails: a
    /// key of the wrong type prevents reaping, and what reaping puts back into the queue may itself have to be put aside.
    async fn begin(
        &self,
        unreaped: &mut Vec<(String, StartedTasks)>,
    ) -> Result<MultiplexedConnection, TransportError> {
        let connection = connect(&self.shared).await.map_err(TransportError::Redis)?;
        let reaped = self.reap(unreaped).await;
        self.shared.put_aside().await;
        if reaped.is_err() {
            self.reap(unreaped).await?;
            self.shared.put_aside().await;
        }
        Ok(connection)
    }

    /// Reaps the workers of earlier runs; while Redis is away they stay in the list.
    async fn reap(&self, unreaped: &mut Vec<(String, StartedTasks)>) -> Result<(), TransportError> {
        while let Some((name, begun)) = unreaped.last() {
            let (transport, queue) = (&self.shared.transport, self.shared.queue);
            transport.reap(queue, name, &begun.ids()).await?;
            unreaped.pop();
        }
        Ok(())
    }
}

/// Removes finished tasks, reports that the worker is alive, and promotes what a pusher left in the scheduled set.
async fn keep_house(shared: Arc<Shared>, current: Arc<Mutex<Option<String>>>, stop: CancellationToken) {
    let mut ticks = interval(PURGE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut seen, mut purged) = (0, 0);
    let mut beaten: Option<Instant> = None;
    let mut restarts_before: Option<u64> = None;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        // Errors mean that Redis is away (the supervisor logs that) or that a key holds something foreign; the next tick tries again.
        let finished = shared.finished.load(Ordering::Relaxed);
        let before = std::mem::replace(&mut seen, finished);
        let beat_due = beaten.is_none_or(|at| at.elapsed() >= BEAT);
        // A task is acknowledged just after it has finished, so only tasks that had finished by the previous tick are certain
        // to be purged in this one. Each beat purges as well, for tasks that other processes left behind.
        if finished != purged || beat_due {
            match shared.transport.purge(shared.queue).await {
                Ok(_) => {
                    if finished != purged {
                        failpoints::reach(Point::TaskAcknowledged).await;
                    }
                    purged = before;
                }
                Err(error) if error.is_refusal() => shared.put_aside().await,
                Err(_) => {}
            }
        }
        let worker = current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(worker) = worker.filter(|_| beat_due) {
            let beat = shared.transport.beat(shared.queue, &worker).await;
            let promoted = shared.transport.promote(shared.queue).await;
            if [beat.as_ref().err(), promoted.as_ref().err()]
                .into_iter()
                .flatten()
                .any(TransportError::is_refusal)
            {
                shared.put_aside().await;
            }
            beaten = beat.is_ok().then(Instant::now);
            // A worker that has survived from one beat to the next is working again.
            let restarts = shared.health.restarts();
            if restarts_before.replace(restarts) == Some(restarts) {
                shared.health.0.short_lives.store(0, Ordering::Relaxed);
            }
        }
    }
}
