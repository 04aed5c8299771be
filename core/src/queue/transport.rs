//! Dispatching groups of jobs, and removing finished tasks from Redis.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use apalis_core::task::builder::TaskBuilder;
use apalis_redis::RedisTask;
use apalis_redis::queries::push_tasks;
use redis::Script;

use super::group;
use super::link::Link;
use super::names::Names;
use crate::ids::JobId;
use crate::jobs::QueueName;

/// The maximum number of groups per call to Redis: pushing that many keeps it busy for some 10 ms.
const PUSHED_AT_ONCE: usize = 500;
/// The maximum number of finished tasks that one run of the script removes from each set.
const PURGED_AT_ONCE: u32 = 500;
/// How long the key that [`QueueTransport::check_writable`] writes stays in Redis.
const SIGN_KEPT_FOR: Duration = Duration::from_secs(60);

static PROMOTE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/promote.lua")));
static PURGE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/purge.lua")));

/// Why Redis could not be used. Nothing is lost by it: what was to be dispatched is still due in PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The address is not a Redis URL.
    #[error("the queue's address is no Redis URL")]
    InvalidUrl(#[source] redis::RedisError),
    /// Redis refused a command, or the connection failed.
    #[error("the queue's Redis failed")]
    Redis(#[from] redis::RedisError),
    /// Redis did not answer within a second.
    #[error("the queue's Redis does not answer")]
    Timeout,
    /// A task could not be encoded.
    #[error("a task could not be encoded")]
    Encode(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl TransportError {
    /// Whether Redis is reachable and refused a command, because the value of a key is not what it should be.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Redis(_)) && !self.may_be_the_connection()
    }

    pub(super) fn may_be_the_connection(&self) -> bool {
        match self {
            Self::Timeout => true,
            // A node that is now read-only was the primary before: a new connection may lead to the current primary.
            Self::Redis(error) => {
                error.is_io_error() || error.is_unrecoverable_error() || error.code() == Some("READONLY")
            }
            Self::InvalidUrl(_) | Self::Encode(_) => false,
        }
    }
}

impl From<apalis_redis::Error> for TransportError {
    fn from(error: apalis_redis::Error) -> Self {
        match error {
            apalis_redis::Error::Database(error) => Self::Redis(error),
            other => Self::Encode(Box::new(other)),
        }
    }
}

/// The keys of every queue.
#[derive(Debug)]
struct QueueNames {
    transfers: Names,
    deposits: Names,
    withdrawals: Names,
    webhooks: Names,
    maintenance: Names,
}

/// Access to the queues of one namespace in one Redis; cheap to clone.
#[derive(Debug, Clone)]
pub struct QueueTransport {
    link: Arc<Link>,
    names: Arc<QueueNames>,
}

impl QueueTransport {
    /// Creates a transport for the queues of `namespace` in the Redis at `redis_url`.
    ///
    /// Redis may be away: the connection is made on demand, and while Redis is away every call fails within a second.
    /// Every key begins with `namespace`, so that several systems (or tests) can share one Redis.
    ///
    /// # Errors
    /// [`TransportError::InvalidUrl`] only.
    #[expect(
        clippy::unused_async,
        reason = "part of the interface: callers are ready for a first connection here"
    )]
    pub async fn connect(redis_url: &str, namespace: &str) -> Result<Self, TransportError> {
        let client = redis::Client::open(redis_url).map_err(TransportError::InvalidUrl)?;
        let names = |queue| Names::new(namespace, queue);
        Ok(Self {
            link: Arc::new(Link::new(client)),
            names: Arc::new(QueueNames {
                transfers: names(QueueName::Transfers),
                deposits: names(QueueName::Deposits),
                withdrawals: names(QueueName::Withdrawals),
                webhooks: names(QueueName::Webhooks),
                maintenance: names(QueueName::Maintenance),
            }),
        })
    }

    /// Dispatches `groups`, each as one task with a new id, and wakes the workers.
    ///
    /// Callers must bound what [`QueueTransport::waiting`] returns: Redis holds a window of what is due, PostgreSQL the rest.
    ///
    /// # Errors
    /// When Redis fails or takes longer than a second. Some or all groups may have been dispatched by then; dispatching them
    /// again does no harm.
    pub async fn push(&self, queue: QueueName, groups: Vec<Vec<JobId>>) -> Result<(), TransportError> {
        let names = self.names(queue);
        let encoded = groups
            .iter()
            .filter(|jobs| !jobs.is_empty())
            .map(|jobs| group::encode(jobs));
        let payloads: Vec<Vec<u8>> = encoded
            .collect::<Result<_, _>>()
            .map_err(|error| TransportError::Encode(Box::new(error)))?;
        for portion in payloads.chunks(PUSHED_AT_ONCE) {
            // A task without an id is given a new ULID: an id that Redis has seen before would be dropped silently.
            let tasks: Vec<RedisTask> = portion
                .iter()
                .map(|it| TaskBuilder::new(it.clone()).build())
                .collect();
            self.link
                .call(|mut redis| async move {
                    push_tasks(&mut redis, names.config(), &tasks).await?;
                    Ok(())
                })
                .await?;
            // If this fails, the tasks wait for the next push, or for a worker to promote them.
            if let Err(error) = self.promote(queue).await {
                tracing::debug!(%queue, %error, "tasks dispatched, but no consumer was woken");
            }
        }
        Ok(())
    }

    /// Moves the pushed tasks to the active list and wakes the workers.
    pub(super) async fn promote(&self, queue: QueueName) -> Result<(), TransportError> {
        let names = self.names(queue);
        self.link
            .call(|mut redis| async move {
                let mut promote = PROMOTE.key(names.scheduled());
                promote.key(names.active()).key(names.data()).arg(names.channel());
                Ok(promote.invoke_async(&mut redis).await?)
            })
            .await
    }

    /// Returns how many tasks have not been fetched by a worker yet.
    ///
    /// # Errors
    /// When Redis fails or takes longer than a second.
    pub async fn waiting(&self, queue: QueueName) -> Result<u64, TransportError> {
        let names = self.names(queue);
        self.link
            .call(|mut redis| async move {
                let mut counts = redis::pipe();
                counts.zcard(names.scheduled()).llen(names.active());
                let (scheduled, active): (u64, u64) = counts.query_async(&mut redis).await?;
                Ok(scheduled + active)
            })
            .await
    }

    /// Sets the marker of `queue` and returns whether it was already there. If not, Redis is new or has been emptied, and everything
    /// must be dispatched again. Of several callers, only one gets `false`.
    ///
    /// # Errors
    /// When Redis fails or takes longer than a second.
    pub async fn mark_present(&self, queue: QueueName) -> Result<bool, TransportError> {
        let marker = self.names(queue).marker();
        self.link
            .call(|mut redis| async move {
                let was_missing: bool = redis::cmd("SETNX")
                    .arg(marker)
                    .arg(1)
                    .query_async(&mut redis)
                    .await?;
                Ok(!was_missing)
            })
            .await
    }

    /// Removes the marker of `queue`: everything is then dispatched again, as if Redis had been emptied.
    pub(super) async fn unmark(&self, queue: QueueName) -> Result<(), TransportError> {
        let marker = self.names(queue).marker();
        self.link
            .call(|mut redis| async move { Ok(redis::cmd("DEL").arg(marker).query_async(&mut redis).await?) })
            .await
    }

    /// Removes all that apalis keeps of finished tasks and returns how many there were. The cost grows only with the number of
    /// tasks removed, and tasks that are waiting or running are not touched: only those that an acknowledgement put into the
    /// sets of done and dead tasks are removed, from these sets and with their data.
    ///
    /// # Errors
    /// When Redis fails or takes longer than a second; what was removed before that stays removed.
    pub async fn purge(&self, queue: QueueName) -> Result<u64, TransportError> {
        let names = self.names(queue);
        let mut total = 0;
        loop {
            let removed: u64 = self
                .link
                .call(|mut redis| async move {
                    let mut purge = PURGE.key(names.done());
                    purge
                        .key(names.dead())
                        .key(names.data())
                        .arg(names.meta())
                        .arg(PURGED_AT_ONCE);
                    Ok(purge.invoke_async(&mut redis).await?)
                })
                .await?;
            total += removed;
            if removed == 0 {
                return Ok(total);
            }
        }
    }

    /// Checks that Redis accepts writes: a replica that was not promoted and a Redis that is full answer `PING` too.
    ///
    /// # Errors
    /// When Redis fails or takes longer than a second.
    pub async fn check_writable(&self) -> Result<(), TransportError> {
        let sign = self.names(QueueName::Maintenance).sign_of_life();
        self.link
            .call(|mut redis| async move {
                let mut write = redis::cmd("SET");
                write.arg(sign).arg(1).arg("EX").arg(SIGN_KEPT_FOR.as_secs());
                Ok(write.query_async(&mut redis).await?)
            })
            .await
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    pub(super) fn names(&self, queue: QueueName) -> &Names {
        match queue {
            QueueName::Transfers => &self.names.transfers,
            QueueName::Deposits => &self.names.deposits,
            QueueName::Withdrawals => &self.names.withdrawals,
            QueueName::Webhooks => &self.names.webhooks,
            QueueName::Maintenance => &self.names.maintenance,
        }
    }
}
