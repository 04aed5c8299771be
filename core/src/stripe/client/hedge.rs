//! Sends a request a second time if Stripe does not answer, instead of waiting until the call times out.
//!
//! An answer may be lost, or a connection may be dead, without any sign of it. The second request repeats the first one under the same key:
//! Stripe returns the result of the first one, or answers that it is still being processed, and then we wait for the first
//! (<https://docs.stripe.com/api/idempotent_requests>). So there is one effect. An outcome is certain if it is a success, or if both requests
//! had it.

use std::pin::pin;
use std::time::Duration;

use super::measured::STRIPE_ASKED_AGAIN;
use crate::stripe::errors::{ErrorClass, StripeError};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// A call without an answer after this time is sent again: longer than Stripe takes for nearly all calls, short enough to go unnoticed.
const AFTER: Duration = Duration::from_secs(3);

/// The maximum number of calls of a process sent twice at a time: if many are slow, Stripe does not get twice as many.
const MOST: usize = 4;

/// Limits how many calls are sent a second time.
#[derive(Debug)]
pub(super) struct Hedge {
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
    /// Returns the answer to `ask`, which may run twice at the same time: it must be repeatable, without a key or with the same key both times. It
    /// is sent a second time only if `may` allows it at that time.
    pub(super) async fn call<T, C>(
        &self,
        may: impl Future<Output = bool>,
        ask: impl Fn() -> C,
    ) -> Result<T, StripeError>
    where
        C: Future<Output = Result<T, StripeError>>,
    {
        let mut first = pin!(ask());
        if let Ok(answer) = timeout(AFTER, first.as_mut()).await {
            return answer;
        }
        let Ok(_place) = self.room.try_acquire() else {
            return first.await;
        };
        tokio::select! {
            answer = first.as_mut() => return answer,
            may = may => if !may {
                return first.await;
            },
        }
        metrics::counter!(STRIPE_ASKED_AGAIN).increment(1);
        let mut second = pin!(ask());
        tokio::select! {
            answer = first.as_mut() => match answer {
                Err(error) => joined(error, second.await),
                answer => answer,
            },
            answer = second.as_mut() => match answer {
                Err(error) => joined(error, first.await),
                answer => answer,
            },
        }
    }
}

/// Returns the outcome of two requests of which one has failed. A success is the outcome of both. A failure holds only for the request that got
/// it: Stripe may have refused one before it checked the key, while the other had its effect. So only what both report is certain.
fn joined<T>(one: StripeError, other: Result<T, StripeError>) -> Result<T, StripeError> {
    match other {
        Err(other) if (other.class, other.status, &other.code) == (one.class, one.status, &one.code) => {
            Err(other)
        }
        Err(_) => Err(StripeError::new(ErrorClass::Unknown)),
        answer => answer,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use ErrorClass::{InUse, RateLimited, Refused, Unknown, Unreachable};
    use tokio::time::{Instant, sleep};

    use super::*;

    type Answer = Result<&'static str, ErrorClass>;

    /// Simulates a Stripe that answers the nth request after the given seconds with the given answer; returns the outcome, the seconds that it took
    /// and the number of requests.
    async fn asked_if(hedge: &Hedge, may: bool, answers: &[(u64, Answer)]) -> (Answer, u64, usize) {
        let requests = AtomicUsize::new(0);
        let start = Instant::now();
        let outcome = hedge
            .call(async { may }, || {
                let (seconds, answer) = answers[requests.fetch_add(1, Ordering::Relaxed)];
                async move {
                    sleep(Duration::from_secs(seconds)).await;
                    answer.map_err(StripeError::new)
                }
            })
            .await;
        (
            outcome.map_err(|error| error.class),
            start.elapsed().as_secs(),
            requests.into_inner(),
        )
    }

    async fn asked(hedge: &Hedge, answers: &[(u64, Answer)]) -> (Answer, u64, usize) {
        asked_if(hedge, true, answers).await
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_in_time_is_asked_for_once() {
        let hedge = Hedge::default();
        assert_eq!(asked(&hedge, &[(2, Ok("first"))]).await, (Ok("first"), 2, 1));
        assert_eq!(asked(&hedge, &[(2, Err(InUse))]).await, (Err(InUse), 2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_answer_is_asked_for_again() {
        let answers = [(15, Err(Unknown)), (1, Ok("second"))];
        assert_eq!(asked(&Hedge::default(), &answers).await, (Ok("second"), 4, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_success_is_waited_for_whatever_the_second_request_met() {
        let hedge = Hedge::default();
        for word in [InUse, Unreachable, RateLimited, Unknown, Refused] {
            let answers = [(9, Ok("first")), (1, Err(word))];
            assert_eq!(asked(&hedge, &answers).await, (Ok("first"), 9, 2), "{word}");
            let answers = [(4, Err(word)), (5, Ok("second"))];
            assert_eq!(asked(&hedge, &answers).await, (Ok("second"), 8, 2), "{word}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_certain_only_when_both_requests_met_it() {
        let hedge = Hedge::default();
        let answers = [(4, Err(Refused)), (5, Err(Refused))];
        assert_eq!(asked(&hedge, &answers).await, (Err(Refused), 8, 2));
        for (one, other) in [
            (Refused, Unknown),
            (Unknown, Refused),
            (Unreachable, InUse),
            (Refused, InUse),
        ] {
            let answers = [(4, Err(one)), (5, Err(other))];
            assert_eq!(
                asked(&hedge, &answers).await,
                (Err(Unknown), 8, 2),
                "{one}, {other}"
            );
            let answers = [(9, Err(one)), (1, Err(other))];
            assert_eq!(
                asked(&hedge, &answers).await,
                (Err(Unknown), 9, 2),
                "{one}, {other}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_not_be_sent_any_more_is_not_asked_again() {
        let answers = [(9, Ok("first")), (1, Ok("second"))];
        let outcome = asked_if(&Hedge::default(), false, &answers).await;
        assert_eq!(outcome, (Ok("first"), 9, 1));
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
