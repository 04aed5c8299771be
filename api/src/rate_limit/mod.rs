//! How many operations a person may send in a minute.
//!
//! Counted in Redis for all processes together; while Redis is away each process counts for itself, so that losing Redis loosens
//! the limit and never closes the door.

mod local;
mod refused;
mod shared;

use std::num::NonZeroU32;
use std::time::Duration;

use wallet_core::ids::UserId;

use self::local::LocalWindows;
use self::refused::Refusals;
use self::shared::{Away, SharedWindows};
use crate::errors::ApiError;

/// The time that a limit is for; it begins with a person's first operation.
const WINDOW: Duration = Duration::from_secs(60);

/// The limit of all people.
pub(crate) struct RateLimiter(Option<Limited>);

struct Limited {
    limit: NonZeroU32,
    shared: SharedWindows,
    local: LocalWindows,
    refused: Refusals,
}

impl std::fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RateLimiter")
            .field(&self.0.as_ref().map(|limited| limited.limit))
            .finish()
    }
}

impl RateLimiter {
    /// At most `limit` operations a minute for each person, or any number.
    ///
    /// # Errors
    /// When the URL is no Redis URL.
    pub(crate) fn new(
        limit: Option<NonZeroU32>,
        url: &str,
        namespace: &str,
    ) -> Result<Self, redis::RedisError> {
        let Some(limit) = limit else { return Ok(Self(None)) };
        Ok(Self(Some(Limited {
            limit,
            shared: SharedWindows::new(url, namespace)?,
            local: LocalWindows::default(),
            refused: Refusals::default(),
        })))
    }

    /// Takes `cost` operations of a person.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`] when they have none left; nothing is taken then.
    pub(crate) async fn take(&self, user: UserId, cost: u32) -> Result<(), ApiError> {
        let Some(limited) = &self.0 else { return Ok(()) };
        self.check(user, cost)?;
        let limit = limited.limit.get();
        let wait = match limited.shared.take(user, cost, limit).await {
            Ok(wait) => wait,
            Err(Away) => limited.local.take(user, cost, limit),
        };
        match wait {
            None => Ok(()),
            Some(wait) => {
                limited.refused.remember(user, cost, wait);
                Err(refusal(wait))
            }
        }
    }

    /// Whether so much is known to be refused, without asking anybody: for the time before it is known what a request costs.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`] when it is.
    pub(crate) fn check(&self, user: UserId, cost: u32) -> Result<(), ApiError> {
        let known = self
            .0
            .as_ref()
            .and_then(|limited| limited.refused.wait(user, cost));
        known.map_or(Ok(()), |wait| Err(refusal(wait)))
    }
}

fn refusal(wait: Duration) -> ApiError {
    let seconds = u64::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX);
    ApiError::RateLimited {
        retry_after: seconds.max(1),
    }
}
