//! One run of an apalis worker: from its registration under a new name to the error, or the shutdown, that ends it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use apalis::layers::WorkerBuilderExt;
use apalis_core::backend::ext::BackendExt;
use apalis_core::error::BoxDynError;
use apalis_core::task::task_id::TaskId;
use apalis_core::worker::builder::WorkerBuilder;
use apalis_core::worker::context::WorkerContext;
use apalis_core::worker::ext::event_listener::EventListenerExt;
use apalis_redis::RedisStorage;
use futures::FutureExt;
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use tokio_util::sync::CancellationToken;

use super::consumer::Shared;
use super::group::{Group, GroupCodec};
use super::members::{APALIS_PATIENCE, BEAT};
use super::wake::Ticks;
use super::watched::Watched;
use crate::failpoints::{self, Point};

/// The time limits for connecting and for the answer to one command. The second is long, because a Redis that stalls for
/// seconds (a fork, a slow script) must not end the worker.
const TIMES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(6));
/// The maximum number of tasks per fetch: no other worker can take what this one has fetched.
const LARGEST_FETCH: usize = 16;

/// The tasks that were begun in one run of the worker and have not ended.
#[derive(Debug, Clone, Default)]
pub(super) struct StartedTasks(Arc<Mutex<HashSet<String>>>);

impl StartedTasks {
    fn add(&self, id: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    fn remove(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }
}

/// Opens the connection for one run of the worker.
pub(super) async fn connect(shared: &Shared) -> Result<MultiplexedConnection, redis::RedisError> {
    let (connect, answer) = TIMES;
    let times = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(connect))
        .set_response_timeout(Some(answer));
    shared
        .transport
        .link()
        .client()
        .get_multiplexed_async_connection_with_config(&times)
        .await
}

/// Runs a worker called `name` until an error ends it, or until `stop`. On `stop` it fetches nothing more, waits for its
/// handlers until `give_up`, and puts back the tasks that it had not begun.
pub(super) async fn live(
    shared: &Arc<Shared>,
    connection: MultiplexedConnection,
    name: &str,
    begun: &StartedTasks,
    stop: &CancellationToken,
    give_up: &CancellationToken,
) -> Result<(), BoxDynError> {
    let config = shared
        .transport
        .names(shared.queue)
        .config()
        .clone()
        .batch_size((shared.concurrency / 4).clamp(1, LARGEST_FETCH))
        .heartbeat_interval(BEAT)
        .missed_heartbeats(APALIS_PATIENCE)
        .persist_results(true)
        .lock_tasks(false)
        .emit_events(false);
    let connection = Watched::new(connection, Arc::clone(shared), stop.clone());
    let storage = RedisStorage::<Group, _>::new(connection).with_config(config);
    let context = WorkerContext::new(name);
    let handler = {
        let (shared, begun) = (Arc::clone(shared), begun.clone());
        move |group: Group, id: TaskId| handle(Arc::clone(&shared), begun.clone(), group, id)
    };
    let worker = WorkerBuilder::new(&context)
        .backend(
            storage
                .with_codec(GroupCodec)
                .poll_with_strategy(Ticks::new(Arc::clone(&shared.look))),
        )
        .concurrency(shared.concurrency)
        .catch_panic()
        .on_event(|_, _| {})
        .build(handler);
    let mut running = worker.run().boxed();
    tokio::select! {
        ended = &mut running => return Ok(ended?),
        () = stop.cancelled() => {}
    }
    // An error means that the worker had not even started.
    if context.stop().is_ok() {
        tokio::select! {
            ended = running => ended?,
            () = give_up.cancelled() => {}
        }
    }
    Ok(())
}

/// Passes a group to the handler, in a spawned task that outlives the worker. Never fails: an error would make apalis run
/// the task again by its own rules, and the outcome is recorded in PostgreSQL anyway.
async fn handle(shared: Arc<Shared>, begun: StartedTasks, group: Group, id: TaskId) {
    let jobs = match group {
        Group::Jobs(jobs) => jobs,
        Group::OtherVersion => {
            tracing::warn!(queue = %shared.queue, task = %id, "a task of another version: its jobs are dispatched again");
            return;
        }
        Group::Garbage => {
            shared
                .dropped_garbage(vec!["the payload of a task could not be read".to_owned()])
                .await;
            return;
        }
    };
    // Handlers of an earlier run may still be running; they occupy slots too.
    let Ok(slot) = Arc::clone(&shared.slots).acquire_owned().await else {
        return;
    };
    let id = id.to_string();
    begun.add(id.clone());
    let handler = Arc::clone(&shared.handler);
    let work = shared.running.spawn(async move {
        failpoints::reach(Point::TaskFetched).await;
        handler(jobs).await;
        failpoints::reach(Point::TaskDone).await;
        drop(slot);
    });
    if work.await.is_err() {
        tracing::error!(queue = %shared.queue, task = id, "a handler panicked");
    }
    begun.remove(&id);
    shared.note_finished();
}
