//! When a watched row is looked at: at once, then whenever it was announced to have changed, and now and then in case an
//! announcement was lost.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use wallet_core::db::DbError;
use wallet_core::feed::Changes;

/// The pause between two looks at least: a wallet that hundreds pay into changes more often than anybody can read.
const LEAST_PAUSE: Duration = Duration::from_millis(50);
/// The pause after a look that failed.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// The looks at one row.
pub(super) struct Looks {
    changes: Changes,
    /// The longest time without a look.
    poll: Duration,
    looked_at: Option<Instant>,
}

impl Looks {
    /// Looks at the row of these changes, at the latest every `poll`.
    pub(super) const fn new(changes: Changes, poll: Duration) -> Self {
        Self {
            changes,
            poll,
            looked_at: None,
        }
    }

    /// Reads the row: the first time at once, later when there may be news and as often as it takes, since a database that is away
    /// for a moment must not end what somebody is watching.
    pub(super) async fn look<T, F>(&mut self, read: impl Fn() -> F) -> Result<Option<T>, DbError>
    where
        F: Future<Output = Result<Option<T>, DbError>>,
    {
        let Some(looked_at) = self.looked_at else {
            self.looked_at = Some(Instant::now());
            return read().await;
        };
        tokio::select! {
            () = self.changes.changed() => {}
            () = sleep(self.poll) => {}
        }
        sleep_until(looked_at + LEAST_PAUSE).await;
        loop {
            self.looked_at = Some(Instant::now());
            match read().await {
                Err(error) if error.is_transient() => {
                    tracing::debug!(%error, "watched row not read, trying on");
                    sleep(AGAIN_AFTER).await;
                }
                outcome => return outcome,
            }
        }
    }
}
