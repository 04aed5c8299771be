//! Access tokens for development and tests, such as an identity provider would issue.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use uuid::Uuid;

/// The roles that the API knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Owns wallets.
    User,
    /// Sees other users' wallets.
    Support,
    /// Changes other users' wallets.
    Operator,
    /// Everything.
    Admin,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: Uuid,
    exp: u64,
    role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<&'a str>,
}

/// Issues an HS256 token of `user`, valid for `ttl` from now. Its claims are `sub`, `exp` and `role`.
///
/// # Errors
/// When the secret is shorter than the 32 bytes that the API requires.
pub fn issue(secret: &str, user: Uuid, role: Role, ttl: Duration) -> Result<String> {
    issue_in_session(secret, user, role, ttl, None)
}

/// Does as [`issue`], for a session that can be revoked (`sid`).
///
/// # Errors
/// As [`issue`].
pub fn issue_in_session(
    secret: &str,
    user: Uuid,
    role: Role,
    ttl: Duration,
    session: Option<&str>,
) -> Result<String> {
    if secret.len() < 32 {
        bail!("JWT_SECRET must have at least 32 bytes");
    }
    let exp = (SystemTime::now() + ttl)
        .duration_since(UNIX_EPOCH)
        .context("the clock stands before 1970")?
        .as_secs();
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(
        &Header::new(Algorithm::HS256),
        &Claims {
            sub: user,
            exp,
            role,
            sid: session,
        },
        &key,
    )
    .context("cannot sign the token")
}

/// Parses a duration as people write it: `90s`, `15m`, `1h`, `7d`.
///
/// # Errors
/// Describes what is expected.
pub fn parse_ttl(text: &str) -> Result<Duration, String> {
    let expected = || format!("\"{text}\" is no duration such as 90s, 15m, 1h or 7d");
    let digits = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| expected())?;
    let seconds = match text.strip_prefix(digits) {
        Some("s") => 1,
        Some("m") => 60,
        Some("h") => 3_600,
        Some("d") => 86_400,
        _ => return Err(expected()),
    };
    number
        .checked_mul(seconds)
        .map(Duration::from_secs)
        .ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation};

    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_token_carries_the_claims_of_the_contract_and_expires() {
        let user = Uuid::new_v4();
        let token = issue(SECRET, user, Role::Operator, Duration::from_secs(60)).unwrap();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims(&["sub", "exp"]);
        let key = DecodingKey::from_secret(SECRET.as_bytes());
        let claims = jsonwebtoken::decode::<serde_json::Value>(&token, &key, &validation)
            .unwrap()
            .claims;
        assert_eq!(claims["sub"], user.to_string());
        assert_eq!(claims["role"], "operator");
        let other = DecodingKey::from_secret(b"ffffffffffffffffffffffffffffffff");
        assert!(jsonwebtoken::decode::<serde_json::Value>(&token, &other, &validation).is_err());
    }

    #[test]
    fn a_short_secret_signs_nothing() {
        assert!(issue("short", Uuid::new_v4(), Role::User, Duration::from_secs(60)).is_err());
    }

    #[test]
    fn durations_are_read_with_their_unit_only() {
        assert_eq!(parse_ttl("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(parse_ttl("7d"), Ok(Duration::from_secs(604_800)));
        for wrong in ["", "h", "15", "-1h", "1.5h", "1w", "99999999999999999d"] {
            assert!(parse_ttl(wrong).is_err(), "{wrong}");
        }
    }
}
