//! The log of refused tokens. The response only says that the token is invalid; an operator who has set the keys, `JWT_ISSUER` or
//! `JWT_AUDIENCE` must be able to find the reason.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::token::TokenError;

/// The minimum interval between two `info` lines for one reason: a sender of bad tokens must not be able to fill the log.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// When each reason was last logged.
#[derive(Debug, Default)]
pub(super) struct RefusalLog(Mutex<HashMap<TokenError, Instant>>);

impl RefusalLog {
    /// Logs why a token is refused: the reason, but neither the token nor its contents.
    pub(super) fn tell(&self, reason: TokenError) {
        if may_be_ours(reason) && self.is_due(reason, Instant::now()) {
            tracing::info!(%reason, "token refused (logged every 10 s at most for each reason)");
        } else {
            tracing::debug!(%reason, "token refused");
        }
    }

    /// Returns whether this reason is due to be logged; if so, records it as logged.
    fn is_due(&self, reason: TokenError, now: Instant) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = told
            .get(&reason)
            .is_none_or(|last| now.duration_since(*last) >= LOG_EVERY);
        if is_due {
            told.insert(reason, now);
        }
        is_due
    }
}

/// Returns whether the issuer or this configuration may be at fault. The other reasons are a stranger's input or a token's end.
const fn may_be_ours(reason: TokenError) -> bool {
    match reason {
        TokenError::Kind
        | TokenError::UnknownKey
        | TokenError::Signature
        | TokenError::Claim(_)
        | TokenError::Early(_)
        | TokenError::Issuer
        | TokenError::Audience
        | TokenError::Role => true,
        TokenError::Missing
        | TokenError::TooLong
        | TokenError::Malformed
        | TokenError::Header
        | TokenError::Expired
        | TokenError::Revoked => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_told_every_ten_seconds_at_most() {
        let (told, start) = (RefusalLog::default(), Instant::now());
        let due = |reason, seconds| told.is_due(reason, start + Duration::from_secs(seconds));
        assert!(due(TokenError::Issuer, 0));
        assert!(!due(TokenError::Issuer, 0) && !due(TokenError::Issuer, 9));
        assert!(due(TokenError::Audience, 9) && due(TokenError::Claim("exp"), 9));
        assert!(due(TokenError::Claim("sub"), 9) && !due(TokenError::Claim("exp"), 10));
        assert!(due(TokenError::Issuer, 10) && !due(TokenError::Issuer, 19));
    }

    #[test]
    fn a_reason_that_is_told_names_its_claim() {
        for (reason, name) in [
            (TokenError::Issuer, "iss"),
            (TokenError::Audience, "aud"),
            (TokenError::Role, "role"),
            (TokenError::Claim("sub"), "sub"),
            (TokenError::Claim("exp"), "exp"),
            (TokenError::Early("nbf"), "nbf"),
            (TokenError::Early("iat"), "iat"),
        ] {
            let words = reason.to_string();
            assert!(may_be_ours(reason) && words.starts_with(name), "{words}");
        }
        assert!(!may_be_ours(TokenError::Missing) && !may_be_ours(TokenError::Expired));
    }
}
