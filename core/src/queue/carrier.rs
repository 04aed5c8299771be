//! Handing over groups of jobs, and keeping Redis as small as it was.

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

/// Groups of one call to Redis: a push of them keeps it busy for some 10 ms.
const PUSHED_AT_ONCE: usize = 500;
/// Finished tasks removed by one script.
const SWEPT_AT_ONCE: u32 = 500;
/// A sign of life that was written stays so long.
const SIGN_KEPT_FOR: Duration = Duration::from_secs(60);

static PROMOTE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/promote.lua")));
static SWEEP: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/sweep.lua")));

/// Why Redis could not be used. Nothing is lost by it: what was to be handed over is still due in PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub enum CarrierError {
    /// The address is no Redis URL.
    #[error("the queue's address is no Redis URL")]
    InvalidUrl(#[source] redis::RedisError),
    /// Redis refused, or the connection failed.
    #[error("the queue's Redis failed")]
    Redis(#[from] redis::RedisError),
    /// Redis did not answer within a second.
    #[error("the queue's Redis does not answer")]
    Timeout,
    /// A task could not be written down.
    #[error("a task could not be encoded")]
    Encode(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl CarrierError {
    /// Whether Redis is there and refused a command: what lies under a key is not what it should be.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Redis(_)) && !self.may_be_the_connection()
    }

    pub(super) fn may_be_the_connection(&self) -> bool {
        match self {
            Self::Timeout => true,
            // A node that only reads was the primary before: a new connection may lead to the one that is it now.
            Self::Redis(error) => {
                error.is_io_error() || error.is_unrecoverable_error() || error.code() == Some("READONLY")
            }
            Self::InvalidUrl(_) | Self::Encode(_) => false,
        }
    }
}

impl From<apalis_redis::Error> for CarrierError {
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

/// The way to the queues of one namespace in one Redis; cheap to clone.
#[derive(Debug, Clone)]
pub struct Carrier {
    link: Arc<Link>,
    names: Arc<QueueNames>,
}

impl Carrier {
    /// A carrier for the queues of `namespace` in the Redis at `redis_url`.
    ///
    /// Redis may be away: it is connected to when it is needed, and every call of the carrier fails within a second then.
    /// `namespace` begins every key, so that several systems (or tests) can share one Redis.
    ///
    /// # Errors
    /// [`CarrierError::InvalidUrl`] only.
    #[expect(
        clippy::unused_async,
        reason = "part of the interface: callers are ready for a first connection here"
    )]
    pub async fn connect(redis_url: &str, namespace: &str) -> Result<Self, CarrierError> {
        let client = redis::Client::open(redis_url).map_err(CarrierError::InvalidUrl)?;
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

    /// Hands over `groups`, each as one task with a new id, and wakes the workers.
    ///
    /// Bound what [`Carrier::waiting`] shows: Redis holds a window of what is due and PostgreSQL the rest.
    ///
    /// # Errors
    /// When Redis fails or takes longer than a second. Some or all groups may have been handed over then; handing them over
    /// again does no harm.
    pub async fn push(&self, queue: QueueName, groups: Vec<Vec<JobId>>) -> Result<(), CarrierError> {
        let names = self.names(queue);
        let encoded = groups
            .iter()
            .filter(|jobs| !jobs.is_empty())
            .map(|jobs| group::encode(jobs));
        let payloads: Vec<Vec<u8>> = encoded
            .collect::<Result<_, _>>()
            .map_err(|error| CarrierError::Encode(Box::new(error)))?;
        for portion in payloads.chunks(PUSHED_AT_ONCE) {
            // A task without an id is given a new ULID: an id that Redis has seen before would be dropped without a word.
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
            // If this fails, they wait for the next one, or for a worker's own promotion.
            if let Err(error) = self.promote(queue).await {
                tracing::debug!(%queue, %error, "tasks handed over, but nobody woken");
            }
        }
        Ok(())
    }

    /// Moves what was pushed to the active list and wakes the workers.
    pub(super) async fn promote(&self, queue: QueueName) -> Result<(), CarrierError> {
        let names = self.names(queue);
        self.link
            .call(|mut redis| async move {
                let mut promote = PROMOTE.key(names.scheduled());
                promote.key(names.active()).key(names.data()).arg(names.channel());
                Ok(promote.invoke_async(&mut redis).await?)
            })
            .await
    }

    /// How many tasks no worker has fetched yet.
    ///
    /// # Errors
    /// When Redis fails or takes longer than a second.
    pub async fn waiting(&self, queue: QueueName) -> Result<u64, CarrierError> {
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

    /// Sets the marker of `queue`, and says whether it was there. If not, Redis has been emptied, or is new: hand everything
    /// over again. Only one of several callers is told so.
    ///
    /// # Errors
    /// When Redis fails or takes longer than a second.
    pub async fn mark_present(&self, queue: QueueName) -> Result<bool, CarrierError> {
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

    /// Forgets the marker of `queue`: as if Redis had been emptied, everything is handed over anew.
    pub(super) async fn unmark(&self, queue: QueueName) -> Result<(), CarrierError> {
        let marker = self.names(queue).marker();
        self.link
            .call(|mut redis| async move { Ok(redis::cmd("DEL").arg(marker).query_async(&mut redis).await?) })
            .await
    }

    /// Removes all that apalis keeps of finished tasks, and says how many there were. It costs as much as there is to
    /// remove and touches no task that is waiting or being worked on: only what the acknowledgement put into the sets of
    /// done and dead tasks goes, out of these sets and with its data.
    ///
    /// # Errors
    /// When Redis fails or takes longer than a second; what was removed until then is.
    pub async fn sweep(&self, queue: QueueName) -> Result<u64, CarrierError> {
        let names = self.names(queue);
        let mut total = 0;
        loop {
            let removed: u64 = self
                .link
                .call(|mut redis| async move {
                    let mut sweep = SWEEP.key(names.done());
                    sweep
                        .key(names.dead())
                        .key(names.data())
                        .arg(names.meta())
                        .arg(SWEPT_AT_ONCE);
                    Ok(sweep.invoke_async(&mut redis).await?)
                })
                .await?;
            total += removed;
            if removed == 0 {
                return Ok(total);
            }
        }
    }

    /// Whether Redis can be used, which is to write: a replica that was not promoted and a Redis that is full answer `PING` too.
    ///
    /// # Errors
    /// When Redis fails or takes longer than a second.
    pub async fn ping(&self) -> Result<(), CarrierError> {
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
