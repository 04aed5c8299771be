//! Revoked sessions: rows of PostgreSQL, read at most once every few seconds for each session.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use wallet_core::db::{Db, DbError};
use wallet_core::sessions;

/// How long an answer is cached: a revocation takes effect within this time.
const KNOWN_FOR: Duration = Duration::from_secs(5);
/// The maximum number of cached answers.
const MOST_KNOWN: usize = 10_000;

/// Checks whether sessions were revoked, with a cache.
#[derive(Debug)]
pub(crate) struct Sessions {
    db: Db,
    known: Mutex<HashMap<String, Answer>>,
}

#[derive(Debug, Clone, Copy)]
struct Answer {
    revoked: bool,
    at: Instant,
}

impl Sessions {
    /// Creates the check against this database.
    pub(crate) fn new(db: Db) -> Self {
        Self {
            db,
            known: Mutex::default(),
        }
    }

    /// Returns whether a session was revoked.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub(crate) async fn is_revoked(&self, session: &str) -> Result<bool, DbError> {
        if let Some(revoked) = self.known(session) {
            return Ok(revoked);
        }
        let revoked = sessions::is_revoked(&self.db, session).await?;
        self.remember(session, revoked);
        Ok(revoked)
    }

    fn known(&self, session: &str) -> Option<bool> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(session)
            .filter(|answer| answer.at.elapsed() < KNOWN_FOR)
            .map(|answer| answer.revoked)
    }

    fn remember(&self, session: &str, revoked: bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            known.retain(|_, answer| answer.at.elapsed() < KNOWN_FOR);
        }
        if known.len() < MOST_KNOWN {
            known.insert(
                session.to_owned(),
                Answer {
                    revoked,
                    at: Instant::now(),
                },
            );
        }
    }
}
