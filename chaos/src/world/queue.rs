//! The queue's Redis with a replica that may lag, and the lock nodes.

use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use redis::aio::MultiplexedConnection;
use tokio::sync::{Mutex, MutexGuard};
use wallet_dev::stack::{Redis, RedisOptions};

/// The two nodes.
#[derive(Debug)]
pub(crate) struct Queue {
    nodes: Mutex<Nodes>,
    port: AtomicU16,
}

#[derive(Debug)]
pub(crate) struct Nodes {
    /// Takes writes.
    pub(crate) primary: Redis,
    replica: Redis,
}

async fn replica_of(port: u16) -> Result<Redis> {
    let replica = Redis::start(RedisOptions {
        name: Some("queue replica".to_owned()),
        args: vec!["--repl-diskless-sync-delay".to_owned(), "0".to_owned()],
        ..RedisOptions::default()
    })
    .await?;
    // By a command and not by an argument: once it is the primary, a restart must not make it a replica again.
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

/// A connection past every proxy.
pub(crate) async fn connect(port: u16) -> Result<MultiplexedConnection> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/"))?;
    client
        .get_multiplexed_async_connection()
        .await
        .context("Redis does not answer")
}

impl Queue {
    /// Starts both.
    pub(crate) async fn start() -> Result<Self> {
        let primary = Redis::start(RedisOptions {
            name: Some("queue".to_owned()),
            args: vec!["--repl-diskless-sync-delay".to_owned(), "0".to_owned()],
            ..RedisOptions::default()
        })
        .await?;
        let replica = replica_of(primary.port()).await?;
        Ok(Self {
            port: AtomicU16::new(primary.port()),
            nodes: Mutex::new(Nodes { primary, replica }),
        })
    }

    /// The port of the node that takes writes.
    pub(crate) fn port(&self) -> u16 {
        self.port.load(Ordering::Relaxed)
    }

    /// A connection to it, past every proxy.
    pub(crate) async fn connect(&self) -> Result<MultiplexedConnection> {
        connect(self.port()).await
    }

    /// Both nodes, to stop and start them.
    pub(crate) async fn nodes(&self) -> MutexGuard<'_, Nodes> {
        self.nodes.lock().await
    }

    /// How many keys it has.
    pub(crate) async fn keys(&self) -> Result<u64> {
        Ok(redis::cmd("DBSIZE")
            .query_async(&mut self.connect().await?)
            .await?)
    }

    /// The replica hears nothing for `lag`, then the primary dies and the replica, which lacks the last writes, takes its place;
    /// gives the new port.
    pub(crate) async fn fail_over(&self, lag: Duration) -> Result<u16> {
        let mut nodes = self.nodes.lock().await;
        nodes.replica.process().freeze();
        tokio::time::sleep(lag).await;
        nodes.primary.process_mut().kill().await?;
        nodes.replica.process().thaw();
        let port = nodes.replica.port();
        let _: () = redis::cmd("REPLICAOF")
            .arg("NO")
            .arg("ONE")
            .query_async(&mut connect(port).await?)
            .await?;
        self.port.store(port, Ordering::Relaxed);
        let next = replica_of(port).await?;
        nodes.primary = std::mem::replace(&mut nodes.replica, next);
        Ok(port)
    }
}
