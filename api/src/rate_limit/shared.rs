//! The count in Redis, which all processes share.

use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::Script;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use wallet_core::ids::UserId;

use super::WINDOW;

/// The maximum wait for Redis: the limit must not slow a request down.
const PATIENCE: Duration = Duration::from_millis(150);
/// How long Redis is left alone after a failure.
const COOL_DOWN: Duration = Duration::from_secs(1);

static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("take.lua")));

/// Counters in Redis.
pub(super) struct SharedWindows {
    redis: ConnectionManager,
    namespace: String,
    failed: Mutex<Option<Instant>>,
}

impl SharedWindows {
    /// Creates counters under `namespace`; the connection to Redis is made when it is needed.
    pub(super) fn new(url: &str, namespace: &str) -> Result<Self, redis::RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let redis = redis::Client::open(url)?.get_connection_manager_lazy(config)?;
        Ok(Self {
            redis,
            namespace: namespace.to_owned(),
            failed: Mutex::new(None),
        })
    }

    /// Takes `cost` of `limit` operations. Returns `None` if they were taken, else how long to wait, or [`Away`].
    pub(super) async fn take(&self, user: UserId, cost: u32, limit: u32) -> Result<Option<Duration>, Away> {
        if self
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some_and(|at| at.elapsed() < COOL_DOWN)
        {
            return Err(Away);
        }
        let mut redis = self.redis.clone();
        let mut take = TAKE.key(format!("{}:rate:{user}", self.namespace));
        take.arg(cost).arg(limit).arg(WINDOW.as_millis());
        let asked = tokio::time::timeout(PATIENCE, take.invoke_async::<u64>(&mut redis)).await;
        let failure = match asked {
            Ok(Ok(0)) => return Ok(None),
            Ok(Ok(wait)) => return Ok(Some(Duration::from_millis(wait))),
            // A wrong value in one person's key is no reason to count everybody in this process.
            Ok(Err(error)) if !error.is_io_error() && !error.is_unrecoverable_error() => {
                tracing::warn!(%error, "a counter of operations could not be used");
                return Err(Away);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        tracing::debug!(
            failure,
            "rate limits are counted in this process while Redis is away"
        );
        Err(Away)
    }
}

/// Redis does not answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Away;
