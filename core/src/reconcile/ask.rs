//! Requests to Stripe that are repeated, since one failure must not discard the answers of a whole comparison. Those of a comparison keep to a
//! budget, since there are some for every account and nobody waits for them.

use super::ReconcileError;
use crate::budget::{self, Bucket, CallBudget};
use crate::db::Db;
use crate::retry::RetryPolicy;
use crate::stripe::{CallError, Disposition, Lane, StripeCalls, StripeError};

/// The maximum number of attempts before the comparison is given up: some ten seconds, in which a paused lane has been probed.
const TRIES: u32 = 5;

/// The number of objects on a page of Stripe's lists.
const PAGE: usize = 100;

/// How patient a request is: the failures after which it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Temporary failures: outages, rate limits and paused calls.
    Outage,
    /// Refusals of the key as well, since the key may be in the middle of a change.
    Refusal,
}

impl Patience {
    fn has(self, error: &CallError) -> bool {
        match error.disposition() {
            Disposition::RetrySameKey { .. } => true,
            Disposition::PauseAll => self == Self::Refusal,
            _ => false,
        }
    }
}

/// What a comparison needs for its requests to Stripe.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) db: &'a Db,
    pub(super) calls: &'a StripeCalls,
    pub(super) budget: CallBudget,
}

impl Asker<'_> {
    /// Waits for its turn and sends the request until Stripe has answered, a few times. Repetitions are delayed anyway, and use no more budget.
    pub(super) async fn ask<T, F>(
        &self,
        patience: Patience,
        question: impl FnMut() -> F,
    ) -> Result<T, ReconcileError>
    where
        F: Future<Output = Result<T, StripeError>>,
    {
        budget::wait(self.db, self.budget, Bucket::Comparison, self.calls.clock()).await?;
        Ok(ask(self.calls, patience, question).await?)
    }

    /// Waits for the budget of the pages after the first of a list that was read completely, before the next request.
    pub(super) async fn pay_for_pages(&self, listed: usize) -> Result<(), ReconcileError> {
        for _ in 0..listed / PAGE {
            budget::wait(self.db, self.budget, Bucket::Comparison, self.calls.clock()).await?;
        }
        Ok(())
    }
}

/// Sends the request until Stripe has answered, a few times.
pub(super) async fn ask<T, F>(
    calls: &StripeCalls,
    patience: Patience,
    mut question: impl FnMut() -> F,
) -> Result<T, CallError>
where
    F: Future<Output = Result<T, StripeError>>,
{
    repeat(RetryPolicy::STRIPE_THROTTLED, patience, || {
        calls.ask(Lane::Maintenance, question())
    })
    .await
}

async fn repeat<T, F>(
    policy: RetryPolicy,
    patience: Patience,
    mut ask: impl FnMut() -> F,
) -> Result<T, CallError>
where
    F: Future<Output = Result<T, CallError>>,
{
    let mut failures = 0;
    let mut reason = None;
    loop {
        match ask().await {
            Err(error) if failures + 1 < TRIES && patience.has(&error) => {
                failures += 1;
                let delay = policy.delay(failures, &mut rand::rng());
                tracing::debug!(%error, failures, ?delay, "a question is asked again");
                if matches!(error, CallError::Stripe(_)) {
                    reason = Some(error);
                }
                tokio::time::sleep(delay).await;
            }
            // A pause of calls does not show its cause; the failure before it does.
            Err(CallError::LaneClosed(paused)) => {
                return Err(reason.unwrap_or(CallError::LaneClosed(paused)));
            }
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;

    use super::*;
    use crate::stripe::{ErrorClass, LaneClosed};

    /// Returns how many attempts were made when `failing` failures come first, and whether there was an answer.
    async fn asked(patience: Patience, failing: u32, error: fn() -> CallError) -> (u32, bool) {
        let mut asked = 0;
        let at_once = RetryPolicy::new(Duration::from_millis(1), Duration::from_millis(1));
        let answer = repeat(at_once, patience, || {
            asked += 1;
            let answer = if asked <= failing { Err(error()) } else { Ok(()) };
            std::future::ready(answer)
        })
        .await;
        (asked, answer.is_ok())
    }

    fn throttled() -> CallError {
        StripeError::new(ErrorClass::RateLimited).into()
    }

    fn refused() -> CallError {
        StripeError::new(ErrorClass::KeyRefused).into()
    }

    fn paused() -> CallError {
        let until = DateTime::UNIX_EPOCH;
        LaneClosed { until }.into()
    }

    fn missing() -> CallError {
        StripeError::new(ErrorClass::NotFound).into()
    }

    #[tokio::test]
    async fn what_may_pass_is_asked_again_a_few_times() {
        for error in [throttled, paused] {
            assert_eq!(asked(Patience::Outage, 0, error).await, (1, true));
            assert_eq!(asked(Patience::Outage, 4, error).await, (5, true));
            assert_eq!(asked(Patience::Outage, 5, error).await, (5, false));
        }
        assert_eq!(asked(Patience::Refusal, 1, refused).await, (2, true));
    }

    #[tokio::test]
    async fn a_pause_does_not_hide_why_calls_are_paused() {
        let mut answers = vec![paused(), paused(), paused(), refused(), paused()];
        let at_once = RetryPolicy::new(Duration::from_millis(1), Duration::from_millis(1));
        let told = repeat(at_once, Patience::Refusal, || {
            std::future::ready(answers.pop().map_or(Ok(()), Err))
        })
        .await;
        assert!(
            matches!(&told, Err(CallError::Stripe(error)) if error.class == ErrorClass::KeyRefused),
            "{told:?}"
        );
    }

    #[tokio::test]
    async fn an_answer_is_not_asked_for_again() {
        assert_eq!(asked(Patience::Refusal, 1, missing).await, (1, false));
        assert_eq!(asked(Patience::Outage, 1, refused).await, (1, false));
    }
}
