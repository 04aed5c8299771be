//! The queue's Redis with a replica that may lag, and operations that also serve for the lock nodes.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use redis::aio::MultiplexedConnection;
use tokio::sync::{Mutex, MutexGuard};
use wallet_dev::stack::{Redis, RedisOptions};

/// The primary and its replica.
#[derive(Debug)]
pub(crate) struct Queue {
    nodes: Mutex<Nodes>,
    port: AtomicU16,
}

#[derive(Debug)]
pub(crate) struct Nodes {
    /// The node that takes writes.
    pub(crate) primary: Redis,
    replica: Redis,
}

/// How long a fault waits for tasks that it can affect: while PostgreSQL is away there are none.
const PATIENCE: Duration = Duration::from_secs(3);
/// The longest that writers are held while the affected tasks are counted.
const HELD_MILLIS: u64 = 2_000;

fn options(name: &str) -> RedisOptions {
    let args = [
        ["--repl-diskless-sync-delay", "0"],
        // For DEBUG SLEEP, which simulates a server busy with one command.
        ["--enable-debug-command", "local"],
    ];
    RedisOptions {
        name: Some(name.to_owned()),
        args: args.concat().into_iter().map(str::to_owned).collect(),
        ..RedisOptions::default()
    }
}

async fn replica_of(port: u16) -> Result<Redis> {
    let replica = Redis::start(options("queue replica")).await?;
    // Set by a command and not by an argument: once this node is the primary, a restart must not make it a replica again.
    let _: () = redis::cmd("REPLICAOF")
        .arg("127.0.0.1")
        .arg(port)
        .query_async(&mut connect(replica.port()).await?)
        .await?;
    let start = Instant::now();
    loop {
        let info: String = redis::cmd("INFO")
            .arg("replication")
            .query_async(&mut connect(replica.port()).await?)
            .await?;
        if info.contains("master_link_status:up") {
            return Ok(replica);
        }
        if start.elapsed() > Duration::from_secs(15) {
            bail!("the replica of the queue does not follow");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Opens a connection that bypasses every proxy.
pub(crate) async fn connect(port: u16) -> Result<MultiplexedConnection> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/"))?;
    client
        .get_multiplexed_async_connection()
        .await
        .context("Redis does not answer")
}

/// Returns the tasks that a node holds: those that wait and those under way.
async fn tasks(port: u16) -> Result<HashSet<String>> {
    let mut node = connect(port).await?;
    let hashes: Vec<String> = redis::cmd("KEYS").arg("*:data").query_async(&mut node).await?;
    let mut tasks = HashSet::new();
    for hash in hashes {
        let ids: Vec<String> = redis::cmd("HKEYS").arg(&hash).query_async(&mut node).await?;
        tasks.extend(ids.into_iter().map(|id| format!("{hash} {id}")));
    }
    Ok(tasks)
}

/// Makes every writer of a node wait for a moment, so that what is counted now is what a fault affects.
pub(crate) async fn hold_writers(port: u16) -> Result<()> {
    let mut pause = redis::cmd("CLIENT");
    pause.arg("PAUSE").arg(HELD_MILLIS).arg("WRITE");
    Ok(pause.query_async(&mut connect(port).await?).await?)
}

/// Lets the writers continue.
pub(crate) async fn release_writers(port: u16) -> Result<()> {
    let mut unpause = redis::cmd("CLIENT");
    unpause.arg("UNPAUSE");
    Ok(unpause.query_async(&mut connect(port).await?).await?)
}

impl Queue {
    /// Starts both nodes.
    pub(crate) async fn start() -> Result<Self> {
        let primary = Redis::start(options("queue")).await?;
        let replica = replica_of(primary.port()).await?;
        Ok(Self {
            port: AtomicU16::new(primary.port()),
            nodes: Mutex::new(Nodes { primary, replica }),
        })
    }

    /// Returns the port of the node that takes writes.
    pub(crate) fn port(&self) -> u16 {
        self.port.load(Ordering::Relaxed)
    }

    /// Opens a connection to that node, bypassing every proxy.
    pub(crate) async fn connect(&self) -> Result<MultiplexedConnection> {
        connect(self.port()).await
    }

    /// Returns both nodes, to stop and start them.
    pub(crate) async fn nodes(&self) -> MutexGuard<'_, Nodes> {
        self.nodes.lock().await
    }

    /// Returns how many keys it has.
    pub(crate) async fn keys(&self) -> Result<u64> {
        Ok(redis::cmd("DBSIZE")
            .query_async(&mut self.connect().await?)
            .await?)
    }

    /// Deletes everything at a moment at which it holds tasks, if one comes soon; returns how many tasks were lost.
    pub(crate) async fn flush(&self) -> Result<u64> {
        const FLUSH: &str = "local tasks = 0
            for _, hash in ipairs(redis.call('KEYS', '*:data')) do tasks = tasks + redis.call('HLEN', hash) end
            if tasks > 0 or ARGV[1] == 'anyhow' then redis.call('FLUSHALL') end
            return tasks";
        let mut node = self.connect().await?;
        let start = Instant::now();
        loop {
            let late = start.elapsed() > PATIENCE;
            let how = if late { "anyhow" } else { "with tasks" };
            let mut flush = redis::cmd("EVAL");
            let lost: u64 = flush.arg(FLUSH).arg(0).arg(how).query_async(&mut node).await?;
            if lost > 0 || late {
                return Ok(lost);
            }
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    }

    /// Kills the primary at a moment at which it holds tasks, if one comes soon, and restarts it empty after
    /// `pause`; returns how many tasks were lost.
    pub(crate) async fn restart_empty(&self, pause: Duration) -> Result<u64> {
        let mut nodes = self.nodes.lock().await;
        let port = nodes.primary.port();
        let start = Instant::now();
        let lost = loop {
            hold_writers(port).await?;
            let held = tasks(port).await?.len();
            if held > 0 || start.elapsed() > PATIENCE {
                break held;
            }
            release_writers(port).await?;
            tokio::time::sleep(Duration::from_millis(15)).await;
        };
        nodes.primary.process_mut().kill().await?;
        tokio::time::sleep(pause).await;
        nodes.primary.start_again().await?;
        Ok(u64::try_from(lost)?)
    }

    /// Cuts the replica off for `lag` and until the two nodes differ in their tasks, if they do so soon; then kills the primary and puts
    /// the replica in its place. Returns the new port, and in how many tasks the nodes differed: lost ones, or finished ones that are back.
    pub(crate) async fn fail_over(&self, lag: Duration) -> Result<(u16, u64)> {
        let mut nodes = self.nodes.lock().await;
        let (old, port) = (nodes.primary.port(), nodes.replica.port());
        // Cut off, not merely stopped: a stopped replica would find everything that it missed in its socket.
        let _: () = redis::cmd("REPLICAOF")
            .arg("NO")
            .arg("ONE")
            .query_async(&mut connect(port).await?)
            .await?;
        tokio::time::sleep(lag).await;
        let start = Instant::now();
        let differ = loop {
            hold_writers(old).await?;
            let (here, there) = (tasks(old).await?, tasks(port).await?);
            let differ = here.symmetric_difference(&there).count();
            if differ > 0 || start.elapsed() > PATIENCE {
                break differ;
            }
            release_writers(old).await?;
            tokio::time::sleep(Duration::from_millis(15)).await;
        };
        nodes.primary.process_mut().kill().await?;
        self.port.store(port, Ordering::Relaxed);
        let next = replica_of(port).await?;
        nodes.primary = std::mem::replace(&mut nodes.replica, next);
        Ok((port, u64::try_from(differ)?))
    }
}
