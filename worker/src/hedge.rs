//! Asks Stripe a second time when it does not answer, instead of waiting until the call is given up.
//!
//! An answer may be lost, or a connection may be dead, without anybody telling. The second request is the first one again, with its key:
//! Stripe gives the first one's result, or says that it is still at work, and then the first is waited for
//! (<https://docs.stripe.com/api/idempotent_requests>). So there is one effect, and one outcome.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;
use wallet_core::stripe::{ErrorClass, GatewayError};

use crate::metrics::STRIPE_ASKED_AGAIN;

/// A call without an answer for so long is asked again: longer than Stripe takes for nearly all, short enough that nobody notices.
const AFTER: Duration = Duration::from_secs(3);

/// Calls of a process that may be asked a second time at once: when many are slow, Stripe is not given twice as many.
const MOST: usize = 4;

/// Lets calls be asked a second time.
#[derive(Debug)]
pub(crate) struct Hedge {
    room: Semaphore,
}

impl Default for Hedge {
    fn default() -> Self {
        Self {
            room: Semaphore::new(MOST),
        }
    }
}

impl Hedge {
    /// The answer to `ask`, which may be asked twice at the same time: a repeatable request, without or with one and the same key.
    pub(crate) async fn call<T, C>(&self, ask: impl Fn() -> C) -> Result<T, GatewayError>
    where
        C: Future<Output = Result<T, GatewayError>>,
    {
        let mut first = pin!(ask());
        if let Ok(answer) = timeout(AFTER, first.as_mut()).await {
            return answer;
        }
        let Ok(_place) = self.room.try_acquire() else {
            return first.await;
        };
        metrics::counter!(STRIPE_ASKED_AGAIN).increment(1);
        let mut second = pin!(ask());
        tokio::select! {
            answer = first.as_mut() => match answer {
                Err(error) if !tells(&error) => joined(error, second.await),
                answer => answer,
            },
            answer = second.as_mut() => match answer {
                Err(error) if !tells(&error) => joined(error, first.await),
                answer => answer,
            },
        }
    }
}

/// Whether a failure of one of two requests is the outcome of both. Not one that speaks of that request alone: the other may have had an
/// effect.
const fn tells(error: &GatewayError) -> bool {
    use ErrorClass::{InUse, ObjectBusy, RateLimited, Unauthorized, Unreachable};
    !matches!(
        error.class,
        InUse | ObjectBusy | RateLimited | Unauthorized | Unreachable
    )
}

/// What two requests tell of which one told nothing: the other's word. If that is none either, and the first to come was that the key is
/// in use, then that.
fn joined<T>(one: GatewayError, other: Result<T, GatewayError>) -> Result<T, GatewayError> {
    match other {
        Err(error) if !tells(&error) && one.class == ErrorClass::InUse => Err(one),
        answer => answer,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use ErrorClass::{InUse, Refused, Unknown, Unreachable};
    use tokio::time::{Instant, sleep};

    use super::*;

    type Answer = Result<&'static str, ErrorClass>;

    /// A Stripe that answers the first, the second … request after so many seconds with that; gives the outcome, the seconds it took
    /// and the requests.
    async fn asked(hedge: &Hedge, answers: &[(u64, Answer)]) -> (Answer, u64, usize) {
        let requests = AtomicUsize::new(0);
        let start = Instant::now();
        let outcome = hedge
            .call(|| {
                let (seconds, answer) = answers[requests.fetch_add(1, Ordering::Relaxed)];
                async move {
                    sleep(Duration::from_secs(seconds)).await;
                    answer.map_err(GatewayError::new)
                }
            })
            .await;
        (
            outcome.map_err(|error| error.class),
            start.elapsed().as_secs(),
            requests.into_inner(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_in_time_is_asked_for_once() {
        let hedge = Hedge::default();
        assert_eq!(asked(&hedge, &[(2, Ok("first"))]).await, (Ok("first"), 2, 1));
        assert_eq!(asked(&hedge, &[(2, Err(InUse))]).await, (Err(InUse), 2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_answer_is_asked_for_again() {
        let lost = (15, Err(Unknown));
        let hedge = Hedge::default();
        assert_eq!(
            asked(&hedge, &[lost, (1, Ok("second"))]).await,
            (Ok("second"), 4, 2)
        );
        assert_eq!(
            asked(&hedge, &[lost, (1, Err(Refused))]).await,
            (Err(Refused), 4, 2)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_is_waited_for_while_its_key_is_in_use() {
        let hedge = Hedge::default();
        for word in [InUse, Unreachable] {
            let answers = [(9, Ok("first")), (1, Err(word))];
            assert_eq!(asked(&hedge, &answers).await, (Ok("first"), 9, 2));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_was_not_sent_says_nothing_of_the_other() {
        let hedge = Hedge::default();
        let answers = [(4, Err(Unreachable)), (5, Err(Unknown))];
        assert_eq!(asked(&hedge, &answers).await, (Err(Unknown), 8, 2));
        let answers = [(4, Err(Unreachable)), (5, Err(InUse))];
        assert_eq!(asked(&hedge, &answers).await, (Err(InUse), 8, 2));
        let answers = [(9, Err(Unreachable)), (1, Err(InUse))];
        assert_eq!(asked(&hedge, &answers).await, (Err(InUse), 9, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_are_slow_few_are_asked_twice() {
        let hedge = Hedge::default();
        let slow = [(9, Ok("first")), (9, Ok("second"))];
        let calls = (0..MOST + 3).map(|_| asked(&hedge, &slow));
        let requests: usize = futures::future::join_all(calls)
            .await
            .into_iter()
            .map(|(_, _, requests)| requests)
            .sum();
        assert_eq!(requests, MOST + 3 + MOST);
    }
}
