//! One running system for a single test.

mod effects;
mod planting;
mod requests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use tokio::net::TcpListener;
use wallet_core::clock::{Clock, MovableClock};

use crate::books;
use crate::database::Database;
use crate::poll::eventually;
use crate::servers::{self, RedisNodes};
use crate::stripe::{OPENING, Stripe};
use crate::system::{
    Api, CONNECT_SECRET, ENCRYPTION_KEY, JWT_SECRET, PLATFORM_SECRET, RunningWorker, STRIPE_KEY, Variables,
    show_logs,
};

pub use requests::{id_of, uuid};

/// The configuration of a system.
#[derive(Debug, Clone)]
pub struct Options {
    /// The number of workers, which serve every queue.
    pub workers: usize,
    /// Variables in addition to, or instead of, the usual ones.
    pub variables: Vec<(&'static str, String)>,
    /// Redis nodes that no other test uses, to be paused, emptied and stopped.
    pub own_redis: bool,
    /// What the platform owns at Stripe at the beginning, in cents.
    pub opening: i64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: 1,
            variables: Vec::new(),
            own_redis: false,
            opening: OPENING,
        }
    }
}

/// What may be left at the end of a test; nothing by default.
#[derive(Debug, Clone, Copy, Default)]
pub struct Leftovers<'a> {
    /// The kinds of the alarms that were raised, each as often as it is listed here.
    pub alarms: &'a [&'a str],
    /// The number of parked jobs.
    pub parked: i64,
}

/// A running system. End it with [`TestApp::finish`].
pub struct TestApp {
    /// Its database.
    pub db: Database,
    /// Its Stripe.
    pub stripe: Stripe,
    /// The clock of its API and workers.
    pub clock: Arc<MovableClock>,
    /// Its environment.
    pub variables: Variables,
    own_redis: Option<RedisNodes>,
    redis: &'static RedisNodes,
    api: Option<Api>,
    workers: Vec<RunningWorker>,
    client: reqwest::Client,
    base: String,
    /// What Stripe received, less what was planted, in minor units of each currency.
    put_in: Mutex<BTreeMap<String, i64>>,
    finished: bool,
}

impl std::fmt::Debug for TestApp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestApp")
            .field("db", &self.db)
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl TestApp {
    /// Starts a system with one worker.
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    /// Starts a system with `workers` workers; with 0 it accepts requests and does nothing.
    pub async fn with_workers(workers: usize) -> Self {
        Self::with(Options {
            workers,
            ..Options::default()
        })
        .await
    }

    /// Starts a system.
    ///
    /// # Panics
    /// If something does not start.
    pub async fn with(options: Options) -> Self {
        show_logs();
        let redis = servers::redis().await;
        let own_redis = if options.own_redis {
            Some(RedisNodes::start().await)
        } else {
            None
        };
        let (db, listener) = tokio::join!(Database::migrated(), TcpListener::bind("127.0.0.1:0"));
        let listener = listener.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let stripe = Stripe::start(&format!("{base}/wallet/webhook"), options.opening).await;
        let nodes = own_redis.as_ref().unwrap_or(redis);
        let mut variables = variables(&db, &stripe, nodes).await;
        for (name, value) in &options.variables {
            variables.set(name, value.as_str());
        }
        let clock = Arc::new(MovableClock::default());
        let api = Api::start(&variables, clock.clone(), listener).await;
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(30))
            .build()
            .unwrap();
        let mut app = Self {
            db,
            stripe,
            clock,
            variables,
            own_redis,
            redis,
            api: Some(api),
            workers: Vec::new(),
            client,
            base,
            put_in: Mutex::new(BTreeMap::from([("usd".to_owned(), options.opening)])),
            finished: false,
        };
        for _ in 0..options.workers {
            app.start_worker();
        }
        app
    }

    /// The Redis nodes that it uses.
    #[must_use]
    pub fn redis(&self) -> &RedisNodes {
        self.own_redis.as_ref().unwrap_or(self.redis)
    }

    /// Its own Redis nodes, to be stopped and started.
    ///
    /// # Panics
    /// If it was started without any.
    pub fn own_redis(&mut self) -> &mut RedisNodes {
        self.own_redis.as_mut().expect("Options.own_redis")
    }

    /// The address of its API, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The client that sends its requests.
    #[must_use]
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Starts one more worker.
    pub fn start_worker(&mut self) {
        self.start_worker_with(&[]);
    }

    /// Starts one more worker, with other variables.
    pub fn start_worker_with(&mut self, variables: &[(&str, &str)]) {
        self.workers.push(RunningWorker::start(
            &self.variables.with(variables),
            self.clock.clone(),
        ));
    }

    /// Drains every worker.
    pub async fn stop_workers(&mut self) {
        futures::future::join_all(self.workers.drain(..).map(RunningWorker::stop)).await;
    }

    /// Moves the clocks of the application and of Stripe.
    pub async fn advance(&self, step: TimeDelta) {
        self.clock.advance(step);
        self.stripe
            .control("clock", json!({ "advance_seconds": step.num_seconds() }))
            .await;
    }

    /// Waits until no job is left but the parked ones.
    ///
    /// # Panics
    /// If some are.
    pub async fn at_rest(&self) {
        eventually("every job to be done", async || {
            self.db.count("jobs WHERE parked_at IS NULL").await == 0
        })
        .await;
    }

    /// Checks repeatedly until it holds, and lets time pass on every clock, `step` after `step`, whenever all jobs wait for a later time.
    ///
    /// # Panics
    /// If it does not hold after a while.
    pub async fn hurry_until(&self, what: &str, step: TimeDelta, mut holds: impl AsyncFnMut() -> bool) {
        let idle = "SELECT count(*) > 0 AND bool_and(run_at > $1 AND lease_until IS NULL) FROM jobs WHERE parked_at IS NULL";
        eventually(what, async || {
            if holds().await {
                return true;
            }
            let waiting: Option<bool> = self.db.value(idle, &[&self.clock.now()]).await;
            if waiting == Some(true) {
                self.advance(step).await;
            }
            false
        })
        .await;
    }

    /// The kinds of all alarms, including closed ones.
    pub async fn alarms(&self) -> Vec<String> {
        self.db
            .rows("SELECT kind FROM alarms ORDER BY kind", &[])
            .await
            .iter()
            .map(|row| row.get(0))
            .collect()
    }

    /// Ends the system and checks that nothing is left and everything balances.
    pub async fn finish(self) {
        self.finish_with(Leftovers::default()).await;
    }

    /// Ends a system in which accepted requests were not to be processed; the invariants that always hold are still checked.
    ///
    /// # Panics
    /// If one does not hold.
    pub async fn abandon(mut self) {
        self.stop_workers().await;
        if let Some(api) = self.api.take() {
            api.stop().await;
        }
        books::assert_balanced(&self.db).await;
        self.finished = true;
        self.db.clone().drop().await;
    }

    /// Like [`TestApp::finish`], if something is to be left.
    ///
    /// # Panics
    /// If something else is left, or an invariant does not hold.
    pub async fn finish_with(mut self, leftovers: Leftovers<'_>) {
        if !self.workers.is_empty() {
            self.at_rest().await;
        }
        self.stop_workers().await;
        if let Some(api) = self.api.take() {
            api.stop().await;
        }
        let alarms = self
            .db
            .rows("SELECT kind, subject, message FROM alarms ORDER BY kind", &[])
            .await;
        // A machine that is too busy to answer for five seconds tells of its lock nodes: that alarm has tests of its own.
        let busy = "lock_quorum_lost";
        let kinds: Vec<&str> = alarms
            .iter()
            .map(|row| row.get(0))
            .filter(|kind| *kind != busy || leftovers.alarms.contains(&busy))
            .collect();
        let told: Vec<String> = alarms
            .iter()
            .map(|row| {
                format!(
                    "{} {}: {}",
                    row.get::<_, &str>(0),
                    row.get::<_, &str>(1),
                    row.get::<_, &str>(2)
                )
            })
            .collect();
        assert_eq!(kinds, leftovers.alarms, "alarms: {told:?}");
        assert_eq!(
            self.db.count("jobs WHERE parked_at IS NOT NULL").await,
            leftovers.parked,
            "parked jobs"
        );
        books::assert_balanced(&self.db).await;
        books::assert_audited(&self.db).await;
        self.assert_effects().await;
        let idle =
            "pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
        assert_eq!(self.db.count(idle).await, 0, "transactions left open");
        self.finished = true;
        self.db.clone().drop().await;
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        assert!(
            self.finished || std::thread::panicking(),
            "end the test with TestApp::finish"
        );
    }
}

async fn variables(db: &Database, stripe: &Stripe, nodes: &RedisNodes) -> Variables {
    let mut variables = Variables::default();
    variables.set("DATABASE_URL", db.url().await);
    variables.set("REDIS_URL", nodes.queue.url());
    variables.set("REDIS_NAMESPACE", db.name());
    variables.set("REDLOCK_URLS", nodes.lock_urls());
    variables.set("STRIPE_SECRET_KEY", STRIPE_KEY);
    variables.set(
        "STRIPE_WEBHOOK_SECRET",
        format!("{PLATFORM_SECRET},{CONNECT_SECRET}"),
    );
    variables.set("STRIPE_API_BASE", stripe.url());
    variables.set("ENCRYPTION_SECRET_KEY", ENCRYPTION_KEY);
    variables.set("JWT_SECRET", JWT_SECRET);
    variables.set("METRICS_PORT", "0");
    variables.set("RATE_LIMIT_PER_MINUTE", "0");
    variables.set("SHUTDOWN_GRACE_SECONDS", "4");
    // Every test checks all of it at its end; against Stripe only those that say so, since money is planted.
    variables.set("VERIFY_COMPLETE_SECONDS", "0");
    variables.set("RECONCILE_SECONDS", "0");
    // The simulator answers as fast as it can.
    variables.set("STRIPE_CALLS_PER_SECOND", "1000");
    variables.set("PLATFORM_BALANCE_SECONDS", "0");
    variables
}
