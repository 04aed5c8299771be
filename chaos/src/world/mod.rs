//! A whole system of real processes with a proxy on every link, and the operations that the campaign performs on it.

pub(crate) mod database;
pub(crate) mod failpoints;
pub(crate) mod member;
mod operator;
pub(crate) mod queue;
pub(crate) mod stripe;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use wallet_dev::stack::{
    Env, LOCK_NODES, ProcessSpec, Redis, RedisOptions, Secrets, Simulator, SimulatorOptions, port,
};

use self::database::Database;
use self::member::Member;
use self::queue::Queue;
use self::stripe::Stripe;
use crate::programs::{AS, Program};
use crate::proxy::{Link, Mode};
use crate::tally::Tally;

const APIS: usize = 2;
const WORKERS: usize = 3;
/// What the platform owns at Stripe at the start, in cents.
pub(crate) const OPENING: i64 = 1_000_000_000;

/// The server that a link leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// PostgreSQL.
    Database,
    /// The queue's Redis.
    Queue,
    /// A lock node.
    Lock(u16),
    /// The Stripe simulator.
    Stripe,
    /// Webhooks from the simulator to the APIs.
    Webhooks,
}

/// A running system.
#[derive(Debug)]
pub(crate) struct World {
    /// The seed of every draw.
    pub(crate) seed: u64,
    /// The counts.
    pub(crate) tally: Tally,
    /// PostgreSQL.
    pub(crate) database: Database,
    /// The queue's Redis.
    pub(crate) queue: Queue,
    /// The lock nodes (RedLock).
    pub(crate) locks: Vec<Mutex<Redis>>,
    /// The Stripe simulator.
    pub(crate) stripe: Stripe,
    /// Our programs.
    pub(crate) members: Vec<Arc<Member>>,
    /// The addresses of the APIs.
    pub(crate) apis: Vec<String>,
    /// The secrets of the programs, also for signing tokens.
    pub(crate) secrets: Secrets,
    links: Vec<(Service, Link)>,
    folder: PathBuf,
    file: PathBuf,
    caring: Vec<JoinHandle<()>>,
    _simulator: Mutex<Simulator>,
}

/// How a world is to be set up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// Environment variables of every program besides the usual ones.
    pub(crate) env: Env,
    /// Arguments of the simulator.
    pub(crate) simulator: Vec<String>,
    /// Workers besides the usual three.
    pub(crate) more_workers: usize,
    /// The file to run as our programs: this very program, unless another is named.
    pub(crate) file: Option<PathBuf>,
}

impl World {
    /// Starts everything; logs go to `folder`.
    pub(crate) async fn start(seed: u64, tally: Tally, folder: &Path, wanted: Wanted) -> Result<Arc<Self>> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let file = wanted.file.map_or_else(crate::programs::file, Ok)?;
        let secrets = Secrets::generate();
        let (database, queue) = tokio::try_join!(Database::start(), Queue::start())?;
        let mut locks = Vec::new();
        for number in 1..=LOCK_NODES {
            let name = Some(format!("lock node {number}"));
            locks.push(
                Redis::start(RedisOptions {
                    name,
                    ..RedisOptions::default()
                })
                .await?,
            );
        }
        let api_ports = (0..APIS).map(|_| port::free()).collect::<Result<Vec<_>>>()?;
        let webhooks = Link::open("simulator to the APIs", &api_ports).await?;
        let simulator = start_simulator(seed, &secrets, webhooks.port(), folder, wanted.simulator).await?;
        let base = settings(&secrets).overlaid(&wanted.env);
        migrate(&database, &file, &base, folder).await?;
        database.execute(include_str!("witness.sql")).await?;
        database.follow().await?;

        let mut links = vec![(Service::Webhooks, webhooks)];
        let mut members = Vec::new();
        let stripe_port = port_of(simulator.base())?;
        for number in 0..APIS + WORKERS + wanted.more_workers {
            let (name, program, args): (_, _, &[&'static str]) = if number < APIS {
                (format!("api-{number}"), Program::Api, &[])
            } else {
                (format!("worker-{}", number - APIS), Program::Worker, &["run"])
            };
            let mut open = Vec::new();
            open.push((
                Service::Database,
                Link::open(format!("{name} to PostgreSQL"), &[database.port()]).await?,
            ));
            open.push((
                Service::Queue,
                Link::open(format!("{name} to the queue"), &[queue.port()]).await?,
            ));
            for (lock, number) in locks.iter().zip(1..) {
                let link = Link::open(format!("{name} to lock node {number}"), &[lock.port()]).await?;
                open.push((Service::Lock(number), link));
            }
            open.push((
                Service::Stripe,
                Link::open(format!("{name} to Stripe"), &[stripe_port]).await?,
            ));
            let reached = failpoints::log(folder, program);
            let mut env = base
                .clone()
                .overlaid(&addresses(&open))
                .with("FAILPOINTS_LOG", reached.display().to_string())
                .with("FAILPOINTS_OFF", failpoints::off(folder).display().to_string());
            match api_ports.get(number) {
                Some(port) => env.set("PORT", port.to_string()),
                None => env.set("METRICS_PORT", port::free()?.to_string()),
            }
            links.extend(open);
            members.push(Arc::new(Member::new(name, program, args, &file, env, folder)));
        }
        let world = Arc::new(Self {
            seed,
            tally,
            stripe: Stripe::at(simulator.base())?,
            database,
            queue,
            locks: locks.into_iter().map(Mutex::new).collect(),
            apis: api_ports
                .iter()
                .map(|port| format!("http://127.0.0.1:{port}"))
                .collect(),
            caring: members
                .iter()
                .map(|member| tokio::spawn(care(Arc::clone(member))))
                .collect(),
            members,
            secrets,
            links,
            folder: folder.to_owned(),
            file,
            _simulator: Mutex::new(simulator),
        });
        for member in &world.members {
            member.start().await?;
        }
        world.ready(Duration::from_secs(60)).await?;
        Ok(world)
    }

    /// Returns the file that runs as our programs.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Records what was done to the system, with the time, for the reader of the logs.
    pub(crate) fn note(&self, what: &str) {
        let line = format!("{} {what}\n", chrono::Utc::now().to_rfc3339());
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("faults.log"));
        // A line that cannot be written is missing for the reader, and has no other effect.
        let _ = file.and_then(|mut file| std::io::Write::write_all(&mut file, line.as_bytes()));
    }

    /// Returns the folder of the logs.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the links that lead to these services.
    pub(crate) fn links(&self, to: impl Fn(Service) -> bool) -> Vec<&Link> {
        self.links
            .iter()
            .filter(|(service, _)| to(*service))
            .map(|(_, link)| link)
            .collect()
    }

    /// Returns the programs of one kind.
    pub(crate) fn members(&self, program: Program) -> Vec<&Arc<Member>> {
        self.members
            .iter()
            .filter(|member| member.program() == program)
            .collect()
    }

    /// Makes every server run again and every link pass traffic, and gives the primary a replica.
    pub(crate) async fn fix(&self) -> Result<()> {
        self.heal_links();
        for lock in &self.locks {
            let mut lock = lock.lock().await;
            lock.process().thaw();
            if lock.process_mut().try_wait()?.is_some() {
                lock.start_again().await?;
            }
        }
        {
            let mut nodes = self.queue.nodes().await;
            nodes.primary.process().thaw();
            if nodes.primary.process_mut().try_wait()?.is_some() {
                nodes.primary.start_again().await?;
            }
        }
        {
            let mut servers = self.database.servers().await;
            if servers.primary.process_mut().try_wait()?.is_some() {
                servers.primary.start_again().await?;
            }
        }
        self.database.follow().await
    }

    /// Makes every link pass all traffic again.
    pub(crate) fn heal_links(&self) {
        for (_, link) in &self.links {
            link.set(Mode::Pass);
        }
    }

    /// Leads new connections to this service to that port.
    pub(crate) fn redirect(&self, to: Service, port: u16) {
        for link in self.links(|service| service == to) {
            link.lead_to(&[port]);
        }
    }

    /// Waits until every API takes requests.
    pub(crate) async fn ready(&self, patience: Duration) -> Result<()> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(2))
            .build()?;
        let start = std::time::Instant::now();
        for api in &self.apis {
            loop {
                let answer = client.get(format!("{api}/readyz")).send().await;
                if answer.is_ok_and(|answer| answer.status().is_success()) {
                    break;
                }
                if start.elapsed() > patience {
                    bail!(
                        "{api} is not ready after {patience:?}; logs are in {}",
                        self.folder.display()
                    );
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// Stops the programs; the servers stop when the value is dropped.
    pub(crate) async fn end(&self) {
        for task in &self.caring {
            task.abort();
        }
        futures::future::join_all(self.members.iter().map(|member| async {
            let _ = member.stop().await;
        }))
        .await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for task in &self.caring {
            task.abort();
        }
    }
}

async fn care(member: Arc<Member>) {
    let mut stopped_since = None;
    loop {
        // A failed start is tried again.
        let _ = member.look_after().await;
        // A process that a failpoint has stopped is continued only from here.
        if member.is_stopped().await {
            let since = *stopped_since.get_or_insert_with(std::time::Instant::now);
            if since.elapsed() > member.stopped_for() {
                member.signal(nix::sys::signal::Signal::SIGCONT).await;
            }
        } else {
            stopped_since = None;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// Returns the settings of every program.
fn settings(secrets: &Secrets) -> Env {
    Env::new()
        .with("STRIPE_SECRET_KEY", secrets.stripe_key.as_str())
        .with(
            "STRIPE_WEBHOOK_SECRET",
            format!("{},{}", secrets.webhook_platform, secrets.webhook_connect),
        )
        .with("ENCRYPTION_SECRET_KEY", secrets.encryption_key.as_str())
        .with("JWT_SECRET", secrets.jwt_secret.as_str())
        .with("RATE_LIMIT_PER_MINUTE", "0")
        // The simulator answers as fast as it can.
        .with("STRIPE_CALLS_PER_SECOND", "1000")
        .with("LOG_FORMAT", "json")
        // The campaign makes the checks itself, and must see what happens when no check stops money-out.
        .with("MONEY_OUT_STOPS_ON", "nothing")
}

async fn start_simulator(
    seed: u64,
    secrets: &Secrets,
    webhooks: u16,
    folder: &Path,
    more: Vec<String>,
) -> Result<Simulator> {
    let settings = r#"{"fee_basis_points": 0, "fee_fixed": 0, "bank_debit_ms": 50, "payout_in_transit_ms": 20, "payout_paid_ms": 20,
        "webhook_retry_base_ms": 500, "accounts_ready": true, "payout_failure_disables_bank": false}"#;
    let mut args = vec![
        "--seed".to_owned(),
        seed.to_string(),
        "--balance".to_owned(),
        format!("usd={OPENING}"),
        "--settings".to_owned(),
        settings.replace('\n', " "),
    ];
    args.extend(more);
    let options = SimulatorOptions {
        effect_log: Some(folder.join("effects.jsonl")),
        args,
        ..SimulatorOptions::default()
    };
    let url = format!("http://127.0.0.1:{webhooks}/wallet/webhook");
    Simulator::start(&options, secrets, &url, folder.join("simulator.log")).await
}

async fn migrate(database: &Database, file: &Path, base: &Env, folder: &Path) -> Result<()> {
    let env = base
        .clone()
        .with("DATABASE_URL", database.url())
        .with(AS, Program::Worker.name());
    let mut migrating = ProcessSpec::new("migrate", file, &folder.join("migrate.log"))
        .args(["migrate"])
        .env(env)
        .spawn()?;
    match migrating.wait(Duration::from_secs(60)).await? {
        Some(status) if status.success() => Ok(()),
        other => bail!(
            "the migration ended as {other:?}: {}",
            migrating.log_tail(5).join("\n")
        ),
    }
}

fn addresses(open: &[(Service, Link)]) -> Env {
    let mut env = Env::new();
    let mut locks = Vec::new();
    for (service, link) in open {
        let port = link.port();
        match service {
            Service::Database => env.set(
                "DATABASE_URL",
                format!(
                    "postgres://postgres@127.0.0.1:{port}/{}?sslmode=disable",
                    database::NAME
                ),
            ),
            Service::Queue => env.set("REDIS_URL", format!("redis://127.0.0.1:{port}/")),
            Service::Lock(_) => locks.push(format!("redis://127.0.0.1:{port}/")),
            Service::Stripe => env.set("STRIPE_API_BASE", format!("http://127.0.0.1:{port}")),
            Service::Webhooks => {}
        }
    }
    env.with("REDLOCK_URLS", locks.join(","))
}

fn port_of(base: &str) -> Result<u16> {
    let port = base.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    port.with_context(|| format!("{base} has no port"))
}
