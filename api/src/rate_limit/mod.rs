//! The limit on how many operations a person may send in a minute.
//!
//! Operations are counted in Redis for all processes together. While Redis is unavailable each process counts for itself, so
//! that losing Redis loosens the limit but refuses nobody.

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

/// The period that a limit is for; it begins with a person's first operation.
const WINDOW: Duration = Duration::from_secs(60);

/// The limit of each person.
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
    /// Allows each person `limit` operations a minute, or any number if it is `None`.
    ///
    /// # Errors
    /// If the URL is not a Redis URL.
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

    /// Takes `cost` operations of a person. A cost above a whole minute's takes the whole minute: it could never be let in otherwise.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`] if too few are left; nothing is taken then.
    pub(crate) async fn take(&self, user: UserId, cost: u32) -> Result<(), ApiError> {
        let Some(limited) = &self.0 else { return Ok(()) };
        let limit = limited.limit.get();
        let cost = cost.min(limit);
        self.check(user, cost)?;
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

    /// Takes the rest of what a request costs; one operation was taken before it was read.
    ///
    /// # Errors
    /// The same as for [`RateLimiter::take`].
    pub(crate) async fn take_rest(&self, user: UserId, cost: u32) -> Result<(), ApiError> {
        let most = self.0.as_ref().map_or(0, |limited| limited.limit.get());
        match cost.min(most).saturating_sub(1) {
            0 => Ok(()),
            rest => self.take(user, rest).await,
        }
    }

    /// Counts what a request has used beyond what it was let in for; the next requests wait for it.
    pub(crate) async fn charge(&self, user: UserId, cost: u32) {
        let Some(limited) = self.0.as_ref().filter(|_| cost > 0) else {
            return;
        };
        let cost = cost.min(limited.limit.get());
        if let Err(Away) = limited.shared.take(user, cost, u32::MAX).await {
            let _ = limited.local.take(user, cost, u32::MAX);
        }
    }

    /// Checks whether this cost is known to be refused, without asking Redis.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`] if it is.
    fn check(&self, user: UserId, cost: u32) -> Result<(), ApiError> {
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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// A limit of this process alone: there is no Redis at this address.
    fn limiter(limit: u32) -> RateLimiter {
        RateLimiter::new(NonZeroU32::new(limit), "redis://127.0.0.1:1", "test").unwrap()
    }

    async fn is_let_in(limiter: &RateLimiter, user: UserId, cost: u32) -> bool {
        limiter.take(user, cost).await.is_ok()
    }

    #[tokio::test]
    async fn what_costs_more_than_a_minute_takes_all_of_it_and_is_let_in() {
        for (limit, cost) in [(5, 13), (5, 6), (1, u32::MAX)] {
            let (limiter, user) = (limiter(limit), UserId::from_uuid(Uuid::from_u128(1)));
            assert!(is_let_in(&limiter, user, cost).await, "{cost} of {limit}");
            assert!(
                !is_let_in(&limiter, user, 1).await,
                "nothing is left of the minute"
            );
            assert!(!is_let_in(&limiter, user, cost).await, "and not for another one");
            assert!(is_let_in(&limiter, UserId::from_uuid(Uuid::from_u128(2)), cost).await);
        }
    }

    #[tokio::test]
    async fn whatever_is_read_has_cost_one_before_and_the_rest_never_more_than_a_minute_gives() {
        let (limiter, user) = (limiter(5), UserId::from_uuid(Uuid::from_u128(1)));
        // Requests that are read, found too expensive and refused, one after the other, run out as well.
        assert!(is_let_in(&limiter, user, 1).await);
        assert!(limiter.take_rest(user, 4).await.is_ok());
        assert!(is_let_in(&limiter, user, 1).await);
        assert!(limiter.take_rest(user, 4).await.is_err());
        assert!(!is_let_in(&limiter, user, 1).await, "five were taken");
        let other = UserId::from_uuid(Uuid::from_u128(2));
        assert!(is_let_in(&limiter, other, 1).await);
        assert!(
            limiter.take_rest(other, 13).await.is_ok(),
            "more than a minute gives takes all of it"
        );
        assert!(!is_let_in(&limiter, other, 1).await);
    }

    #[tokio::test]
    async fn what_was_taken_in_the_end_is_missing_for_what_comes_next() {
        let (limiter, user) = (limiter(10), UserId::from_uuid(Uuid::from_u128(1)));
        assert!(is_let_in(&limiter, user, 1).await);
        limiter.charge(user, 0).await;
        limiter.charge(user, 8).await;
        assert!(is_let_in(&limiter, user, 1).await, "ten of ten");
        assert!(!is_let_in(&limiter, user, 1).await);
        limiter.charge(user, 1_000).await;
        assert!(!is_let_in(&limiter, user, 1).await);
    }
}
