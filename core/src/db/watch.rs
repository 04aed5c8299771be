//! A limit on the server's silence, enforced on the client's side.
//!
//! `statement_timeout` is enforced by the server, and `tcp_user_timeout` is met by its kernel. So neither notices a server, or a proxy before it,
//! that accepts and acknowledges but never answers; sessions would wait for it until the pool has none left.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use diesel::connection::{Instrumentation, InstrumentationEvent};
use tokio::time::Instant;

/// How long we wait beyond the server's own limit, so that its refusal comes first.
const GRACE: Duration = Duration::from_secs(5);

/// Measures how long a session has been waiting for the answer to a statement.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    bound: Duration,
    asked_at: Arc<Mutex<Option<Instant>>>,
}

impl Watch {
    /// Creates a watch for a session whose statements the server ends after `statement_timeout`, or `None` if that is zero (no limit).
    pub(super) fn over(statement_timeout: Duration) -> Option<Self> {
        (!statement_timeout.is_zero()).then(|| Self {
            bound: statement_timeout.saturating_add(GRACE),
            asked_at: Arc::default(),
        })
    }

    /// Returns when a statement has waited for too long.
    pub(super) async fn overdue(&self) {
        loop {
            tokio::time::sleep(self.bound / 10).await;
            if self.waited().is_some_and(|waited| waited > self.bound) {
                return;
            }
        }
    }

    fn waited(&self) -> Option<Duration> {
        let asked_at = *self.asked_at.lock().unwrap_or_else(PoisonError::into_inner);
        asked_at.map(|at| at.elapsed())
    }

    fn set(&self, asked_at: Option<Instant>) {
        *self.asked_at.lock().unwrap_or_else(PoisonError::into_inner) = asked_at;
    }
}

impl Instrumentation for Watch {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            // Also for a statement whose caller has gone away before the answer: the session is then unused, and its loss does no harm.
            InstrumentationEvent::StartQuery { .. } => self.set(Some(Instant::now())),
            InstrumentationEvent::FinishQuery { .. } => self.set(None),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_session_is_given_up_when_a_statement_has_no_answer_and_not_while_nobody_asks() {
        let watch = Watch::over(Duration::from_secs(15)).unwrap();
        let begun = Instant::now();
        let overdue = tokio::spawn({
            let watch = watch.clone();
            async move { watch.overdue().await }
        });
        // Idle, and then busy with one statement after the other, each of which is answered.
        tokio::time::sleep(Duration::from_secs(100)).await;
        for _ in 0..10 {
            watch.set(Some(Instant::now()));
            tokio::time::sleep(Duration::from_secs(15)).await;
            watch.set(None);
        }
        assert!(!overdue.is_finished());
        watch.set(Some(Instant::now()));
        overdue.await.unwrap();
        let silent = begun.elapsed() - Duration::from_secs(250);
        assert!(
            silent > Duration::from_secs(20) && silent < Duration::from_secs(24),
            "{silent:?}"
        );
    }

    #[test]
    fn what_may_take_as_long_as_it_needs_is_not_watched() {
        assert!(Watch::over(Duration::ZERO).is_none());
    }
}
