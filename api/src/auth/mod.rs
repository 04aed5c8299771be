//! Authentication of callers: bearer tokens, checked on every request.

mod keys;
mod live;
mod refusal_log;
mod sessions;
mod strength;
#[cfg(test)]
mod tests;
mod token;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use chrono::{DateTime, Utc};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use wallet_core::accept::Caller;
use wallet_core::clock::SharedClock;
use wallet_core::config::JwtConfig;
use wallet_core::db::Db;

pub use self::keys::KeyError;
pub(crate) use self::live::{HeldSession, LiveSessions};
use self::refusal_log::RefusalLog;
use self::sessions::Sessions;
pub use self::strength::Unusable;
use self::token::{TokenError, Tokens};
use crate::errors::ApiError;
use crate::request_id::RequestId;

/// A person who has sent a valid token.
#[derive(Debug, Clone)]
pub(crate) struct Principal {
    /// The person's id and role, with the id of the request.
    pub(crate) caller: Caller,
    /// The session that the token belongs to, if it names one.
    pub(crate) session: Option<String>,
    /// When the token expires.
    pub(crate) expires_at: DateTime<Utc>,
}

/// The interval at which key files are read again. An issuer publishes a new key well before signing with it.
const CHECK_EVERY: Duration = Duration::from_secs(10);

/// Authenticates callers by their tokens.
#[derive(Debug)]
pub(crate) struct Authenticator {
    tokens: Arc<RwLock<Arc<Tokens>>>,
    sessions: Sessions,
    clock: SharedClock,
    refusals: RefusalLog,
}

impl Authenticator {
    /// Creates an authenticator.
    ///
    /// # Errors
    /// If a configured key cannot be used.
    pub(crate) fn new(config: &JwtConfig, db: Db, clock: SharedClock) -> Result<Self, KeyError> {
        Ok(Self {
            tokens: Arc::new(RwLock::new(Arc::new(Tokens::new(config)?))),
            sessions: Sessions::new(db),
            clock,
            refusals: RefusalLog::default(),
        })
    }

    fn tokens(&self) -> Arc<Tokens> {
        Arc::clone(&self.tokens.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the key files again at intervals, until `stopped` is cancelled, so that a rotation needs no restart. If a file is broken
    /// or missing, the keys stay as they are and an error is logged.
    pub(crate) fn follow_files(
        &self,
        mut config: JwtConfig,
        stopped: CancellationToken,
    ) -> impl Future<Output = ()> + use<> {
        let tokens = Arc::clone(&self.tokens);
        async move {
            let mut told = None;
            loop {
                tokio::select! {
                    () = stopped.cancelled() => return,
                    () = tokio::time::sleep(CHECK_EVERY) => {}
                }
                let (shared, known) = (Arc::clone(&tokens), config.clone());
                // The read may block: a file may be on a disk that does not respond.
                let problem = match spawn_blocking(move || reread(&shared, &known)).await {
                    Ok(Ok(renewed)) => {
                        config = renewed.unwrap_or(config);
                        None
                    }
                    Ok(Err(problem)) => Some(problem),
                    Err(error) => Some(error.to_string()),
                };
                if let Some(problem) = problem.as_ref().filter(|_| problem != told) {
                    tracing::error!(%problem, "the keys of tokens stay as they were");
                }
                told = problem;
            }
        }
    }

    /// Returns the person whose token is in the `Authorization` header.
    ///
    /// # Errors
    /// [`ApiError::TokenEnded`] for an expired or revoked token, [`ApiError::Unauthenticated`] for any other, or the database's error.
    pub(crate) async fn by_header(&self, headers: &HeaderMap, id: &RequestId) -> Result<Principal, ApiError> {
        self.by_token(bearer(headers), id).await
    }

    /// Returns the person of a token.
    ///
    /// # Errors
    /// As [`Authenticator::by_header`].
    pub(crate) async fn by_token(&self, token: Option<&str>, id: &RequestId) -> Result<Principal, ApiError> {
        let checked = token
            .ok_or(TokenError::Missing)
            .and_then(|token| self.tokens().check(token, self.clock.now()));
        let claims = checked.map_err(|reason| self.refused(reason))?;
        if let Some(session) = &claims.session
            && self.sessions.is_revoked(session).await?
        {
            return Err(self.refused(TokenError::Revoked));
        }
        let caller = Caller {
            user_id: claims.user_id,
            role: claims.role,
            request_id: Some(id.as_str().to_owned()),
        };
        Ok(Principal {
            caller,
            session: claims.session,
            expires_at: claims.expires_at,
        })
    }

    fn refused(&self, reason: TokenError) -> ApiError {
        self.refusals.tell(reason);
        match reason {
            TokenError::Expired | TokenError::Revoked => ApiError::TokenEnded,
            _ => ApiError::Unauthenticated,
        }
    }
}

/// Replaces the keys with those of changed files and returns the new configuration, or `None` if no file has changed.
fn reread(tokens: &RwLock<Arc<Tokens>>, known: &JwtConfig) -> Result<Option<JwtConfig>, String> {
    let Some(now) = known.read_again().map_err(|error| error.to_string())? else {
        return Ok(None);
    };
    let renewed = Tokens::new(&now).map_err(|error| error.to_string())?;
    *tokens.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(renewed);
    tracing::info!("the keys of tokens were read again");
    Ok(Some(now))
}

/// Returns the bearer token of the only `Authorization` header. Two headers are refused: a proxy may have checked either.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    bearer_token(value.to_str().ok()?)
}

/// Returns the token after the scheme `Bearer`, whose letter case does not matter.
pub(crate) fn bearer_token(text: &str) -> Option<&str> {
    let (scheme, token) = text.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
