//! One lock node: what it answers, how long it is waited for, and when it counts as down.
//!
//! A node that has been silent for [`PATIENCE`], or has refused, is sent one more request over a separate connection: to write a key that
//! has no other use. A node that is merely busy does so, and is waited for a little longer. If that fails too, the node is down: it is
//! skipped, and counts as unreachable for the majority, until a background probe can write to it. An answer alone is not enough: a node
//! that is out of memory, a replica, or one whose disk is full answers PING and grants nothing.
//! So a node that hangs costs its time limit once, and not with every lock.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use rslock::{Lock, LockManager};
use tokio::time::{Instant, sleep, timeout};

/// How long a node may be silent.
const PATIENCE: Duration = Duration::from_millis(100);
/// The total wait for a node that is slow but accepts writes.
const LONGEST_WAIT: Duration = Duration::from_millis(500);
/// The key that is written as a probe. It begins like the keys of locks, so that the same permission covers it.
const PROBE_KEY: &str = "wallet:probe";
/// The pause of the background probe: it doubles from the first value up to the second.
const PROBE_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// A node's answer to the request for a key.
pub(super) enum Vote {
    /// The key is ours.
    Granted(Lock),
    /// Another holder has the key, or the connection broke: `rslock` does not distinguish them, [`Node::verify`] does.
    Refused,
    /// The node is down.
    Unreachable,
}

pub(super) struct Node {
    /// Its place in the list, for the log: its URL may contain a password.
    position: usize,
    client: redis::Client,
    manager: RwLock<LockManager>,
    down: AtomicBool,
    last_answer: Mutex<Option<Instant>>,
    probe: tokio::sync::Mutex<Option<MultiplexedConnection>>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("position", &self.position)
            .field("down", &self.is_down())
            .finish_non_exhaustive()
    }
}

impl Node {
    pub(super) fn open(url: &str, position: usize) -> Result<Arc<Self>, redis::RedisError> {
        let client = redis::Client::open(url)?;
        Ok(Arc::new(Self {
            position,
            manager: RwLock::new(single_try_manager(&client)),
            client,
            down: AtomicBool::new(false),
            last_answer: Mutex::new(None),
            probe: tokio::sync::Mutex::new(None),
        }))
    }

    /// The node's place in the list, from 1.
    pub(super) const fn position(&self) -> usize {
        self.position
    }

    pub(super) const fn client(&self) -> &redis::Client {
        &self.client
    }

    pub(super) fn is_down(&self) -> bool {
        self.down.load(Ordering::Acquire)
    }

    /// Requests `key` once.
    pub(super) async fn lock(self: &Arc<Self>, key: &str, ttl: Duration) -> Vote {
        if self.is_down() {
            return Vote::Unreachable;
        }
        let manager = self.manager();
        let key = key.to_owned();
        let request = Box::pin(async move { manager.lock(key.as_str(), ttl).await });
        match self.wait(request).await {
            Ok(Ok(lock)) => {
                self.note_answer();
                Vote::Granted(lock)
            }
            Ok(Err(_)) => Vote::Refused,
            Err(unanswered) => {
                // The request may still take effect when the node recovers: a task waits for it and releases the key.
                tokio::spawn(async move {
                    if let Ok(late) = unanswered.await {
                        late.release().await;
                    }
                });
                Vote::Unreachable
            }
        }
    }

    /// Gives `lock` a new time to live. Returns false if the node no longer has it or does not answer.
    pub(super) async fn extend(self: &Arc<Self>, lock: &Lock, ttl: Duration) -> bool {
        if self.is_down() {
            return false;
        }
        let manager = self.manager();
        let extended = match self.wait(Box::pin(manager.extend(lock, ttl))).await {
            Ok(answer) => answer.is_ok(),
            Err(_unanswered) => false,
        };
        if extended {
            self.note_answer()
        } else {
            self.suspect()
        }
        extended
    }

    /// Removes `lock` if it is still ours. If the node does not answer, a separate task waits for it, or the key expires.
    pub(super) async fn release(self: &Arc<Self>, lock: &Lock) {
        let manager = self.manager();
        let lock = Lock {
            resource: lock.resource.clone(),
            val: lock.val.clone(),
            validity_time: lock.validity_time,
            lock_manager: manager.clone(),
        };
        let request = Box::pin(async move { manager.unlock(&lock).await });
        if self.is_down() {
            tokio::spawn(request);
        } else if let Err(unanswered) = self.wait(request).await {
            tokio::spawn(unanswered);
        }
    }

    /// Returns whether the node has accepted a write since `since`; if none is known, tries one now.
    pub(super) async fn verify(self: &Arc<Self>, since: Instant) -> bool {
        if self.answered_since(since) {
            return true;
        }
        let mut probe = self.probe.lock().await;
        if self.is_down() {
            return false;
        }
        if self.answered_since(since) || self.can_write(&mut probe).await {
            return true;
        }
        drop(probe);
        self.mark_down();
        false
    }

    /// Verifies the node in the background.
    pub(super) fn suspect(self: &Arc<Self>) {
        if !self.is_down() {
            let node = Arc::clone(self);
            let since = Instant::now();
            tokio::spawn(async move { node.verify(since).await });
        }
    }

    /// Waits for `request` while the node accepts writes, up to a limit. Returns the request if it was not answered.
    async fn wait<F: Future>(self: &Arc<Self>, mut request: Pin<Box<F>>) -> Result<F::Output, Pin<Box<F>>> {
        let started = Instant::now();
        loop {
            let since = Instant::now();
            if let Ok(answer) = timeout(PATIENCE, &mut request).await {
                return Ok(answer);
            }
            if started.elapsed() >= LONGEST_WAIT || !self.verify(since).await {
                return Err(request);
            }
        }
    }

    async fn can_write(&self, probe: &mut Option<MultiplexedConnection>) -> bool {
        let asked = timeout(PATIENCE, async {
            let mut connection = match probe.take() {
                Some(connection) => connection,
                None => {
                    self.client
                        .get_multiplexed_async_connection_with_config(&AsyncConnectionConfig::new())
                        .await?
                }
            };
            let mut write = redis::cmd("SET");
            write.arg(PROBE_KEY).arg(1).arg("PX").arg(1_000);
            let written: Result<String, _> = write.query_async(&mut connection).await;
            written.map(|_| connection)
        });
        // A connection that failed is dropped with the error; the next probe makes a new one.
        if let Ok(Ok(connection)) = asked.await {
            *probe = Some(connection);
            self.note_answer();
        }
        probe.is_some()
    }

    fn mark_down(self: &Arc<Self>) {
        if self.down.swap(true, Ordering::AcqRel) {
            return;
        }
        tracing::warn!(
            node = self.position,
            "lock node does not answer, or cannot be written to: skipped until it can"
        );
        let node = Arc::downgrade(self);
        tokio::spawn(async move {
            let (mut pause, longest) = PROBE_PAUSE;
            loop {
                sleep(pause).await;
                pause = (pause * 2).min(longest);
                let Some(node) = node.upgrade() else { return };
                let answered = {
                    let mut probe = node.probe.lock().await;
                    // The first try over an old connection may only show that the connection is broken.
                    node.can_write(&mut probe).await || node.can_write(&mut probe).await
                };
                if answered {
                    node.mark_up();
                    return;
                }
            }
        });
    }

    fn mark_up(&self) {
        // The old manager may hold a connection from before the node went down.
        *self.manager.write().unwrap_or_else(PoisonError::into_inner) = single_try_manager(&self.client);
        self.down.store(false, Ordering::Release);
        tracing::info!(node = self.position, "lock node can be written to again");
    }

    fn manager(&self) -> LockManager {
        self.manager
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note_answer(&self) {
        *self.last_answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn answered_since(&self, since: Instant) -> bool {
        self.last_answer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some_and(|at| at >= since)
    }
}

fn single_try_manager(client: &redis::Client) -> LockManager {
    let mut manager = LockManager::from_clients(vec![client.clone()]);
    manager.set_retry(1, Duration::from_millis(1));
    manager
}
