//! The worker's connection: it records when Redis last answered, and holds back the fetches of an idle worker.
//!
//! apalis starts a fetch whenever its task is polled, for whatever reason, and a fetch that finds nothing leads to the next poll: an
//! idle worker would send Redis thousands of requests a second. So a fetch that follows an empty one is sent only after a
//! wake-up, or after an interval in case the message was lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Arg, Cmd, Pipeline, RedisFuture, Value};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::consumer::Shared;
use crate::clock::{Clock, SystemClock};

/// The fetch interval in case messages are lost.
const FALLBACK: Duration = Duration::from_millis(200);

/// The positions of the number of keys and of the time in `EVALSHA sha 7 key… now batch worker`, which is apalis' fetch: its Lua script
/// is the only one on this connection with seven keys (a test would time out if that changed).
const KEYS_AT: usize = 2;
const NOW_AT: usize = 10;

/// The connection of one run of a worker; clones share it.
#[derive(Clone)]
pub(super) struct Watched {
    connection: MultiplexedConnection,
    shared: Arc<Shared>,
    stop: CancellationToken,
    /// Whether the last fetch found nothing.
    idle: Arc<AtomicBool>,
}

impl Watched {
    pub(super) fn new(
        connection: MultiplexedConnection,
        shared: Arc<Shared>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            connection,
            shared,
            stop,
            idle: Arc::default(),
        }
    }

    async fn send(&mut self, cmd: &Cmd) -> redis::RedisResult<Value> {
        let answer = self.connection.req_packed_command(cmd).await;
        if answer.is_ok() {
            self.shared.note_poll();
        }
        answer
    }

    async fn fetch(&mut self, cmd: &Cmd) -> redis::RedisResult<Value> {
        if self.idle.load(Ordering::Relaxed) {
            tokio::select! {
                // A wake-up during the last fetch is remembered, so a task that came just too late for it is fetched at once.
                () = self.shared.wake.notified() => {}
                () = sleep(FALLBACK) => {}
                () = self.stop.cancelled() => {}
            }
        }
        let answer = self.send(&at_present(cmd)).await?;
        self.idle.store(is_empty(&answer), Ordering::Relaxed);
        Ok(answer)
    }
}

/// Returns the same fetch with the current time: apalis moves what is due by then to the active list.
fn at_present(cmd: &Cmd) -> Cmd {
    let mut fresh = Cmd::new();
    for (at, arg) in cmd.args_iter().enumerate() {
        match arg {
            Arg::Simple(_) if at == NOW_AT => fresh.arg(SystemClock.now().timestamp()),
            Arg::Simple(bytes) => fresh.arg(bytes),
            _ => return cmd.clone(),
        };
    }
    fresh
}

fn is_fetch(cmd: &Cmd) -> bool {
    let mut args = cmd.args_iter();
    let evaluates = matches!(args.next(), Some(Arg::Simple(name)) if name == b"EVALSHA");
    evaluates && matches!(args.nth(KEYS_AT - 1), Some(Arg::Simple(keys)) if keys == b"7")
}

fn is_empty(answer: &Value) -> bool {
    match answer {
        Value::Nil => true,
        Value::Array(items) => items.iter().all(is_empty),
        _ => false,
    }
}

impl ConnectionLike for Watched {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        if is_fetch(cmd) {
            self.fetch(cmd).boxed()
        } else {
            self.send(cmd).boxed()
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        all: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.connection.req_packed_commands(all, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}
