//! Starts everything, and drains it at the end.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::join_all;
use secrecy::ExposeSecret;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wallet_core::clock::SharedClock;
use wallet_core::config::{ConfigError, WorkerConfig};
use wallet_core::db::{self, Db, DbError, DbOptions};
use wallet_core::dispatch::Dispatcher;
use wallet_core::error_chain::chain;
use wallet_core::feed::Announcer;
use wallet_core::foundation::Foundation;
use wallet_core::jobs::QueueName;
use wallet_core::locks::{LockError, WalletLocks};
use wallet_core::metrics::{RecorderError, recorder, upkeep};
use wallet_core::queue::{Consumer, QueueTransport, TaskHandler, TransportError};
use wallet_core::stripe::ClientConfigError;

use crate::background::redis_fallback::{self, Served};
use crate::background::{checks, housekeeping, lock_nodes, overdue_locks, platform_account, resume};
use crate::execution::{Batcher, Executor, Leases};
use crate::health::{self, Health};
use crate::worker::Worker;
use crate::{metrics, start};

/// Why a worker could not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// PostgreSQL cannot be used.
    #[error("the database cannot be used")]
    Db(#[from] DbError),
    /// Redis cannot be used.
    #[error("the queue cannot be used")]
    QueueTransport(#[from] TransportError),
    /// The lock nodes cannot be used.
    #[error("the lock nodes cannot be used")]
    Locks(#[from] LockError),
    /// The Stripe client cannot be configured.
    #[error("the payment provider cannot be used")]
    Stripe(#[from] ClientConfigError),
    /// The process already has another metrics recorder.
    #[error("metrics cannot be recorded")]
    Metrics(#[from] RecorderError),
    /// The data keys of the database are wrapped under another key.
    #[error(transparent)]
    Keys(#[from] ConfigError),
    /// No port for metrics can be bound.
    #[error("METRICS_PORT: neither it nor one of the next ports can be bound; set it to another, or to 0")]
    Port(#[source] std::io::Error),
}

/// Works until `shutdown`, then lets running jobs finish within the configured grace.
///
/// # Errors
/// If the configuration cannot be used. A service that is merely unreachable is waited for.
pub async fn run(
    config: WorkerConfig,
    clock: SharedClock,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let recorder = recorder()?;
    metrics::describe();
    // These tasks keep running while jobs drain, so that the jobs keep their leases and their follow-ups are dispatched.
    let drained = CancellationToken::new();
    // However this function ends, its tasks do not outlive it.
    let _end = drained.clone().drop_guard();
    let (worker, transport, announcing) = assemble(&config, clock, &drained).await?;
    let leases = Leases::new(worker.db.clone(), worker.job_timeout);
    let (batcher, batching) = Batcher::start(
        Arc::clone(&worker),
        leases.clone(),
        shutdown.clone(),
        drained.clone(),
    );
    let executor = Arc::new(Executor::new(Arc::clone(&worker), leases.clone()));
    let handlers = handlers(&config, &executor, &batcher);
    let consumers = consumers(&config, &worker, &transport, handlers.clone());
    let served = handlers
        .into_iter()
        .zip(&consumers)
        .map(|((queue, handler), (_, consumer))| {
            Served::new(queue, handler, consumer.health(), config.concurrency.get())
        })
        .collect();
    let (told, obstacle) = watch::channel(Some("the database was not checked yet".to_owned()));
    let mut background = vec![
        announcing,
        batching,
        tokio::spawn(upkeep(recorder.clone(), drained.clone())),
    ];
    let health = Arc::new(Health {
        worker: Arc::clone(&worker),
        obstacle,
        consumers: consumers
            .iter()
            .map(|(queue, consumer)| (*queue, consumer.health()))
            .collect(),
        metrics: recorder,
    });
    if let Some(listener) = health::bind(config.metrics_port).await.map_err(RunError::Port)? {
        if let Ok(at) = listener.local_addr() {
            tracing::info!(port = at.port(), "metrics and health");
        }
        background.push(tokio::spawn(health::serve(listener, health, drained.clone())));
    }
    if !start::until_fit(&worker, &told, &shutdown).await? {
        drained.cancel();
        join_all(background).await;
        return Ok(());
    }
    if let Err(error) = db::ensure_partitions(&worker.db, worker.clock.now()).await {
        // Housekeeping tries again; partitions are made months ahead.
        tracing::warn!(error = %chain(&error), "partitions could not be checked at the start");
    }

    background.extend(background_tasks(&config, &worker, leases, &drained));
    let redis_fallback = tokio::spawn(redis_fallback::run(
        Arc::clone(&worker),
        transport.clone(),
        served,
        shutdown.clone(),
    ));
    tracing::info!(worker = %worker.name, queues = ?config.queues, concurrency = config.concurrency, "working");
    let grace = config.shutdown_grace;
    join_all(
        consumers
            .into_iter()
            .map(|(_, consumer)| consumer.run(shutdown.clone(), grace)),
    )
    .await;
    if tokio::time::timeout(grace, redis_fallback).await.is_err() {
        tracing::warn!("jobs taken from the table still run after the grace");
    }
    drained.cancel();
    join_all(background).await;
    tracing::info!("drained");
    Ok(())
}

/// Assembles the worker's tools and the queue transport; the task announces changed transactions until `drained`.
async fn assemble(
    config: &WorkerConfig,
    clock: SharedClock,
    drained: &CancellationToken,
) -> Result<(Arc<Worker>, QueueTransport, JoinHandle<()>), RunError> {
    let options = DbOptions {
        application_name: "wallet-worker",
        pool_size: config.database.pool_size.get(),
        ..DbOptions::default()
    };
    let db = Db::connect(config.database.url.expose_secret(), &options).await?;
    // Nothing is done while PostgreSQL is away; later, the background task `db::keep_clock` sets the clock.
    let _ = db::set_clock(&db, &clock).await;
    let transport =
        QueueTransport::connect(config.redis.url.expose_secret(), &config.redis.namespace).await?;
    let lock_urls: Vec<&str> = config
        .redis
        .lock_urls
        .iter()
        .map(ExposeSecret::expose_secret)
        .collect();
    let locks = WalletLocks::new(&lock_urls)?.on_loss(config.redis.quorum_loss);
    let dispatcher = Dispatcher::new(db.clone(), transport.clone(), Arc::clone(&clock));
    let (announcer, announcing) = Announcer::start(db.clone(), drained.clone());
    let foundation = Foundation::new(db, clock, config.encryption.clone());
    let calls = foundation.stripe_calls(&config.stripe)?;
    let worker = Worker::new(config, foundation, calls, locks, dispatcher, announcer);
    Ok((Arc::new(worker), transport, announcing))
}

/// Starts the tasks that run beside the jobs until `drained`.
fn background_tasks(
    config: &WorkerConfig,
    worker: &Arc<Worker>,
    leases: Leases,
    drained: &CancellationToken,
) -> Vec<JoinHandle<()>> {
    let asks = config.queues.contains(&QueueName::Maintenance);
    let (db, clock) = (worker.db.clone(), Arc::clone(&worker.clock));
    let mut tasks = vec![
        tokio::spawn(db::keep_clock(db, clock, drained.clone())),
        tokio::spawn(worker.dispatcher.clone().run(drained.clone())),
        tokio::spawn(leases.run(drained.clone())),
        tokio::spawn(overdue_locks::run(Arc::clone(worker), drained.clone())),
        tokio::spawn(lock_nodes::run(Arc::clone(worker), drained.clone())),
        tokio::spawn(resume::run(Arc::clone(worker), drained.clone())),
        tokio::spawn(housekeeping::run(Arc::clone(worker), asks, drained.clone())),
        tokio::spawn(platform_account::run(Arc::clone(worker), asks, drained.clone())),
    ];
    if asks {
        tasks.push(tokio::spawn(checks::run(
            Arc::clone(worker),
            config.checks,
            drained.clone(),
        )));
    }
    tasks
}

/// Returns the handler of each queue that this worker serves.
fn handlers(
    config: &WorkerConfig,
    executor: &Arc<Executor>,
    batcher: &Batcher,
) -> Vec<(QueueName, TaskHandler)> {
    let handler = |queue: &QueueName| -> TaskHandler {
        if *queue == QueueName::Transfers {
            let batcher = batcher.clone();
            return Arc::new(move |ids| {
                let batcher = batcher.clone();
                async move { batcher.execute(ids).await }.boxed()
            });
        }
        let executor = Arc::clone(executor);
        Arc::new(move |ids| {
            let executor = Arc::clone(&executor);
            async move { executor.execute(ids).await }.boxed()
        })
    };
    config
        .queues
        .iter()
        .map(|queue| (*queue, handler(queue)))
        .collect()
}

fn consumers(
    config: &WorkerConfig,
    worker: &Arc<Worker>,
    transport: &QueueTransport,
    handlers: Vec<(QueueName, TaskHandler)>,
) -> Vec<(QueueName, Consumer)> {
    let consumer = |queue, handler| {
        Consumer::new(
            transport.clone(),
            queue,
            config.concurrency.get(),
            handler,
            &worker.name,
        )
    };
    handlers
        .into_iter()
        .map(|(queue, handler)| (queue, consumer(queue, handler)))
        .collect()
}
