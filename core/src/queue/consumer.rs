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

use super::life::{Begun, connect, live};
use super::members::BEAT;
use super::{Carrier, CarrierError, wake};
use crate::chaos::{self, Point};
use crate::ids::JobId;
use crate::jobs::QueueName;

/// The pause before the next life doubles from the first to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// A life this long was a good one: the next begins after the shortest pause.
const GOOD_LIFE: Duration = Duration::from_secs(5);
/// How often finished tasks are removed from Redis while there are some.
const SWEEP: Duration = Duration::from_millis(250);

/// What is done with a group of jobs. It records its outcome in PostgreSQL; a panic is caught and logged.
pub type TaskHandler = Arc<dyn Fn(Vec<JobId>) -> BoxFuture<'static, ()> + Send + Sync>;

/// Everything the lives of a consumer's worker have in common.
pub(super) struct Shared {
    pub(super) carrier: Carrier,
    pub(super) queue: QueueName,
    pub(super) concurrency: usize,
    pub(super) handler: TaskHandler,
    /// The handlers at work, of this life and of earlier ones.
    pub(super) running: TaskTracker,
    pub(super) slots: Arc<Semaphore>,
    /// Ends the wait of a fetch.
    pub(super) wake: Arc<Notify>,
    /// Has an idle worker begin a fetch.
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

    /// Puts aside what is no task. While Redis is away nothing is; the supervisor tries again.
    async fn put_aside(&self) {
        if let Ok(what) = self.carrier.put_aside(self.queue).await {
            self.tell(what);
        }
    }

    /// A task was dropped that may have carried jobs: all are handed over anew.
    pub(super) async fn dropped_garbage(&self, what: Vec<String>) {
        tracing::error!(queue = %self.queue, ?what, "dropped: it is no task");
        let _ = self.carrier.unmark(self.queue).await;
        self.tell(what);
    }

    fn tell(&self, what: Vec<String>) {
        let mut aside = self.health.0.aside.lock().unwrap_or_else(PoisonError::into_inner);
        let room = TOLD_AT_ONCE.saturating_sub(aside.len());
        aside.extend(what.into_iter().take(room));
    }

    pub(super) fn note_finished(&self) {
        self.finished.fetch_add(1, Ordering::Relaxed);
    }
}

/// How a consumer is doing, readable while it runs; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct ConsumerHealth(Arc<HealthState>);

#[derive(Debug, Default)]
struct HealthState {
    polled: Mutex<Option<Instant>>,
    restarts: AtomicU64,
    /// Lives in a row that ended soon.
    short_lives: AtomicU32,
    /// What was put aside and nobody has been told of yet.
    aside: Mutex<Vec<String>>,
}

/// Things that were put aside which are kept to be told.
const TOLD_AT_ONCE: usize = 20;
/// Short lives in a row that mean that the worker cannot work: one may be a connection that was lost.
const FAILING_AFTER: u32 = 2;

impl ConsumerHealth {
    /// Time since Redis last answered the worker; none before the first time. More than 15 s: it stands still.
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

    /// Whether its worker ends again and again as soon as it has begun, although Redis may answer others.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.0.short_lives.load(Ordering::Relaxed) >= FAILING_AFTER
    }

    /// What was put aside since the last call, because it was no task; 20 things at most.
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
    /// A consumer that gives the groups of `queue` to `handler`, up to `concurrency` of them at once (at least one).
    ///
    /// `worker_name_prefix` is for people (host and process id); what makes each start's name unique is added.
    #[must_use]
    pub fn new(
        carrier: Carrier,
        queue: QueueName,
        concurrency: usize,
        handler: TaskHandler,
        worker_name_prefix: &str,
    ) -> Self {
        let concurrency = concurrency.clamp(1, Semaphore::MAX_PERMITS);
        // Only distinctness counts here, across processes that may share host name and process id (containers do).
        let name = format!("{worker_name_prefix}:{:08x}", rand::random::<u32>());
        let shared = Shared {
            carrier,
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

    /// A view of how it is doing, to be kept while it runs.
    #[must_use]
    pub fn health(&self) -> ConsumerHealth {
        self.shared.health.clone()
    }

    /// Works until `shutdown`, whatever becomes of Redis. Then fetches no more and returns when the running handlers have
    /// finished, or after `grace`.
    pub async fn run(self, shutdown: CancellationToken, grace: Duration) {
        let shared = &self.shared;
        let current = Arc::new(Mutex::new(None));
        let give_up = CancellationToken::new();
        let helpers = self.start_helpers(&shutdown, &current, grace, &give_up);

        let mut unburied: Vec<(String, Begun)> = Vec::new();
        let (mut pause, longest) = PAUSE;
        for life in 0_u64.. {
            let born = Instant::now();
            let error = match self.begin(&mut unburied).await {
                Err(error) => error.to_string(),
                Ok(connection) => {
                    let name = format!("{}:{life}", self.name);
                    *current.lock().unwrap_or_else(PoisonError::into_inner) = Some(name.clone());
                    // In our list before it is in apalis': there is no worker that nobody would miss.
                    let _ = shared.carrier.beat(shared.queue, &name).await;
                    let begun = Begun::default();
                    let ended = live(shared, connection, &name, &begun, &shutdown, &give_up).await;
                    unburied.push((name, begun));
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
        let _ = self.bury(&mut unburied).await;
        let _ = shared.carrier.sweep(shared.queue).await;
    }

    /// Starts the subscription, the housekeeping and the clock of the grace; they end when what this returns is dropped.
    fn start_helpers(
        &self,
        shutdown: &CancellationToken,
        current: &Arc<Mutex<Option<String>>>,
        grace: Duration,
        give_up: &CancellationToken,
    ) -> DropGuard {
        let stop = CancellationToken::new();
        let carrier = &self.shared.carrier;
        let channel = carrier.names(self.shared.queue).channel().to_owned();
        let client = carrier.link().client().clone();
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

    /// A connection for the next life, when what earlier lives had fetched is given back, and what is no task is put aside: what they had fetched
    /// may be among that, and a key that is not of its kind stands in the way of giving back.
    async fn begin(
        &self,
        unburied: &mut Vec<(String, Begun)>,
    ) -> Result<MultiplexedConnection, CarrierError> {
        let connection = connect(&self.shared).await.map_err(CarrierError::Redis)?;
        let buried = self.bury(unburied).await;
        self.shared.put_aside().await;
        if buried.is_err() {
            self.bury(unburied).await?;
            self.shared.put_aside().await;
        }
        Ok(connection)
    }

    /// Buries the workers of earlier lives; while Redis is away they wait.
    async fn bury(&self, unburied: &mut Vec<(String, Begun)>) -> Result<(), CarrierError> {
        while let Some((name, begun)) = unburied.last() {
            let (carrier, queue) = (&self.shared.carrier, self.shared.queue);
            carrier.bury(queue, name, &begun.ids()).await?;
            unburied.pop();
        }
        Ok(())
    }
}

/// Removes finished tasks, says that the worker is alive, and moves on what a pusher left in the scheduled set.
async fn keep_house(shared: Arc<Shared>, current: Arc<Mutex<Option<String>>>, stop: CancellationToken) {
    let mut ticks = interval(SWEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut seen, mut swept) = (0, 0);
    let mut beaten: Option<Instant> = None;
    let mut restarts_before: Option<u64> = None;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        // Errors mean that Redis is away, which the supervisor has said, or that something under a key is not ours; the next tick tries again.
        let finished = shared.finished.load(Ordering::Relaxed);
        let before = std::mem::replace(&mut seen, finished);
        let beat_due = beaten.is_none_or(|at| at.elapsed() >= BEAT);
        // A task is acknowledged just after it has finished: only what was finished at the last tick is surely swept in this
        // one. With every beat once more, for what other processes left.
        if finished != swept || beat_due {
            match shared.carrier.sweep(shared.queue).await {
                Ok(_) => {
                    if finished != swept {
                        chaos::reach(Point::TaskAcknowledged).await;
                    }
                    swept = before;
                }
                Err(error) if error.is_refusal() => shared.put_aside().await,
                Err(_) => {}
            }
        }
        let worker = current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(worker) = worker.filter(|_| beat_due) {
            let beat = shared.carrier.beat(shared.queue, &worker).await;
            let promoted = shared.carrier.promote(shared.queue).await;
            if [beat.as_ref().err(), promoted.as_ref().err()]
                .into_iter()
                .flatten()
                .any(CarrierError::is_refusal)
            {
                shared.put_aside().await;
            }
            beaten = beat.is_ok().then(Instant::now);
            // A worker that has lived from one beat to the next works again.
            let restarts = shared.health.restarts();
            if restarts_before.replace(restarts) == Some(restarts) {
                shared.health.0.short_lives.store(0, Ordering::Relaxed);
            }
        }
    }
}
