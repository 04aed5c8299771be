//! Who asks: bearer tokens, checked at every request.

mod keys;
mod live;
mod sessions;
mod strength;
#[cfg(test)]
mod tests;
mod token;

use axum::http::{HeaderMap, header};
use chrono::{DateTime, Utc};
use wallet_core::accept::Caller;
use wallet_core::clock::SharedClock;
use wallet_core::config::JwtConfig;
use wallet_core::db::Db;

pub use self::keys::KeyError;
pub(crate) use self::live::{HeldSession, LiveSessions};
use self::sessions::Sessions;
pub use self::strength::Unusable;
use self::token::{TokenError, Tokens};
use crate::errors::ApiError;
use crate::request_id::RequestId;

/// A person whose token is believed.
#[derive(Debug, Clone)]
pub(crate) struct Principal {
    /// Who, with which role.
    pub(crate) caller: Caller,
    /// The session that the token belongs to, if it names one.
    pub(crate) session: Option<String>,
    /// When the token ends.
    pub(crate) expires_at: DateTime<Utc>,
}

/// Turns tokens into people.
pub(crate) struct Authenticator {
    tokens: Tokens,
    sessions: Sessions,
    clock: SharedClock,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator")
            .field("tokens", &self.tokens)
            .finish_non_exhaustive()
    }
}

impl Authenticator {
    /// An authenticator.
    ///
    /// # Errors
    /// When a configured key cannot be used.
    pub(crate) fn new(config: &JwtConfig, db: Db, clock: SharedClock) -> Result<Self, KeyError> {
        Ok(Self {
            tokens: Tokens::new(config)?,
            sessions: Sessions::new(db),
            clock,
        })
    }

    /// The person behind the `Authorization` header.
    ///
    /// # Errors
    /// [`ApiError::Unauthenticated`] for every reason of the token, [`ApiError::Unavailable`] when its session cannot be looked up.
    pub(crate) async fn by_header(&self, headers: &HeaderMap, id: &RequestId) -> Result<Principal, ApiError> {
        self.by_token(bearer(headers), id).await
    }

    /// The person behind a token.
    ///
    /// # Errors
    /// As [`Authenticator::by_header`].
    pub(crate) async fn by_token(&self, token: Option<&str>, id: &RequestId) -> Result<Principal, ApiError> {
        let checked = token
            .ok_or(TokenError::Missing)
            .and_then(|token| self.tokens.check(token, self.clock.now()));
        let claims = checked.map_err(refused)?;
        if let Some(session) = &claims.session
            && self.sessions.is_revoked(session).await?
        {
            return Err(refused(TokenError::Revoked));
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
}

fn refused(reason: TokenError) -> ApiError {
    tracing::debug!(%reason, "token refused");
    ApiError::Unauthenticated
}

/// The token of the one `Authorization: Bearer` header; two headers would leave open which one a proxy has checked.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    bearer_token(value.to_str().ok()?)
}

/// The token behind `Bearer`, in any letter case.
pub(crate) fn bearer_token(text: &str) -> Option<&str> {
    let (scheme, token) = text.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
