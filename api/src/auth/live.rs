//! The sessions of open websockets: a websocket must not outlive the session of its token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wallet_core::db::{Db, DbError};
use wallet_core::sessions;

/// The interval between two checks for revoked sessions; each takes one statement, or a few.
const CHECK_EVERY: Duration = Duration::from_secs(2);
/// The maximum number of sessions per statement.
const MOST_AT_ONCE: usize = 1_000;

/// The sessions that are held open.
#[derive(Debug, Default)]
pub(crate) struct LiveSessions {
    held: Mutex<HashMap<String, Live>>,
}

#[derive(Debug)]
struct Live {
    holders: usize,
    revoked: CancellationToken,
}

impl LiveSessions {
    /// Holds a session open until the returned value is dropped.
    pub(crate) fn hold(self: &Arc<Self>, session: String) -> HeldSession {
        let mut held = self.held();
        let live = held.entry(session.clone()).or_insert_with(|| Live {
            holders: 0,
            revoked: CancellationToken::new(),
        });
        live.holders += 1;
        HeldSession {
            revoked: live.revoked.clone(),
            of: Arc::clone(self),
            session,
        }
    }

    /// Notifies the holders of revoked sessions, until `stopped` is cancelled.
    pub(crate) async fn run(self: Arc<Self>, db: Db, stopped: CancellationToken) {
        loop {
            tokio::select! {
                () = stopped.cancelled() => return,
                () = tokio::time::sleep(CHECK_EVERY) => {}
            }
            if let Err(error) = self.check(&db).await {
                tracing::debug!(%error, "revoked sessions are not known, asking again");
            }
        }
    }

    async fn check(&self, db: &Db) -> Result<(), DbError> {
        let sessions: Vec<String> = self.held().keys().cloned().collect();
        for some in sessions.chunks(MOST_AT_ONCE) {
            for session in sessions::revoked_among(db, some).await? {
                if let Some(live) = self.held().get(&session) {
                    live.revoked.cancel();
                }
            }
        }
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Live>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session that is held open until this value is dropped.
#[derive(Debug)]
pub(crate) struct HeldSession {
    of: Arc<LiveSessions>,
    session: String,
    revoked: CancellationToken,
}

impl HeldSession {
    /// Waits until the session is revoked.
    pub(crate) async fn revoked(&self) {
        self.revoked.cancelled().await;
    }
}

impl Drop for HeldSession {
    fn drop(&mut self) {
        let mut held = self.of.held();
        if let Some(live) = held.get_mut(&self.session) {
            live.holders = live.holders.saturating_sub(1);
            if live.holders == 0 {
                held.remove(&self.session);
            }
        }
    }
}
