//! Access tokens: which are valid, and what they claim.
//!
//! The library checks the signature with a key of exactly one algorithm. Everything else is checked here, strictly and by our
//! clock: a claim of a wrong type makes the token invalid instead of counting as absent (GHSA-h395-gr6q-cpjc).

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Header, Validation};
use serde_json::{Map, Value};
use wallet_core::accept::Role;
use wallet_core::config::JwtConfig;
use wallet_core::ids::UserId;

use super::keys::{KeyError, KeyRing};

/// The maximum length of a token, in bytes.
const LONGEST: usize = 8 * 1024;
/// How far an issuer's clock may be ahead of ours, in seconds. The expiry has no leeway.
const AHEAD_SECONDS: i64 = 5;
/// The name in errors of a payload that is not an object and so holds no claims.
pub(super) const PAYLOAD: &str = "the payload";

/// The claims of a valid token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claims {
    /// The claim `sub`.
    pub(crate) user_id: UserId,
    /// The claim `role`; a user's if it is absent.
    pub(crate) role: Role,
    /// The claim `sid`.
    pub(crate) session: Option<String>,
    /// The claim `exp`.
    pub(crate) expires_at: DateTime<Utc>,
}

/// The reason why a token is refused. For the log, it names a claim but never its value; the response only says whether it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("no token")]
    Missing,
    #[error("token too long")]
    TooLong,
    #[error("not a token, or one of another algorithm family")]
    Malformed,
    #[error("header parameter that is not accepted")]
    Header,
    #[error("another kind of token")]
    Kind,
    #[error("no key for it")]
    UnknownKey,
    #[error("wrong signature")]
    Signature,
    #[error("{0} is missing, or not what it has to be")]
    Claim(&'static str),
    #[error("expired")]
    Expired,
    #[error("{0} lies in the future")]
    Early(&'static str),
    #[error("iss is missing, or not JWT_ISSUER")]
    Issuer,
    #[error("aud is missing, or does not name JWT_AUDIENCE")]
    Audience,
    #[error("role is none of user, support, operator and admin")]
    Role,
    #[error("session revoked")]
    Revoked,
}

/// Checks tokens against one configuration.
#[derive(Debug)]
pub(crate) struct Tokens {
    keys: KeyRing,
    issuer: Option<String>,
    audience: Option<String>,
}

impl Tokens {
    /// Creates the checks of a configuration.
    ///
    /// # Errors
    /// If a configured key cannot be used.
    pub(crate) fn new(config: &JwtConfig) -> Result<Self, KeyError> {
        Ok(Self {
            keys: KeyRing::new(config)?,
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
        })
    }

    /// Returns the claims of a token that is valid at `now`. The caller must check whether its session was revoked.
    pub(crate) fn check(&self, token: &str, now: DateTime<Utc>) -> Result<Claims, TokenError> {
        if token.len() > LONGEST {
            return Err(TokenError::TooLong);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
        check_header(&header)?;
        let claims = self.verified(token, &header)?;
        check_kind(&claims)?;
        let expires_at = instant(&claims, "exp")?.ok_or(TokenError::Claim("exp"))?;
        if expires_at <= now {
            return Err(TokenError::Expired);
        }
        for name in ["nbf", "iat"] {
            if instant(&claims, name)?.is_some_and(|at| at > now + TimeDelta::seconds(AHEAD_SECONDS)) {
                return Err(TokenError::Early(name));
            }
        }
        self.check_parties(&claims)?;
        let user_id: UserId = text(&claims, "sub")?
            .ok_or(TokenError::Claim("sub"))?
            .parse()
            .map_err(|_| TokenError::Claim("sub"))?;
        if user_id.uuid().is_nil() {
            return Err(TokenError::Claim("sub"));
        }
        let role = match text(&claims, "role")? {
            None => Role::User,
            Some(role) => role.parse().map_err(|_| TokenError::Role)?,
        };
        let session = text(&claims, "sid")?.map(str::to_owned);
        if session
            .as_ref()
            .is_some_and(|id| id.is_empty() || id.len() > 255 || id.contains('\0'))
        {
            return Err(TokenError::Claim("sid"));
        }
        Ok(Claims {
            user_id,
            role,
            session,
            expires_at,
        })
    }

    fn verified(&self, token: &str, header: &Header) -> Result<Map<String, Value>, TokenError> {
        let mut validation = Validation::new(header.alg);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let mut outcome = Err(TokenError::UnknownKey);
        for key in self.keys.candidates(header.alg, header.kid.as_deref()) {
            match jsonwebtoken::decode(token, key, &validation) {
                Ok(data) => return Ok(data.claims),
                Err(error) => {
                    outcome = Err(if let ErrorKind::Json(_) = error.kind() {
                        // The claims are parsed only after the signature was verified.
                        TokenError::Claim(PAYLOAD)
                    } else {
                        TokenError::Signature
                    })
                }
            }
        }
        outcome
    }

    fn check_parties(&self, claims: &Map<String, Value>) -> Result<(), TokenError> {
        if let Some(issuer) = &self.issuer
            && claims.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return Err(TokenError::Issuer);
        }
        let Some(audience) = &self.audience else {
            return Ok(());
        };
        let meant = match claims.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some(audience)),
            _ => false,
        };
        if meant { Ok(()) } else { Err(TokenError::Audience) }
    }
}

/// Refuses header parameters that could move the trust elsewhere: keys or key addresses in the token, extensions that must be
/// understood, encryption or compression, and key names that are paths or code.
fn check_header(header: &Header) -> Result<(), TokenError> {
    let brings_key =
        header.jku.is_some() || header.jwk.is_some() || header.x5u.is_some() || header.x5c.is_some();
    let encrypted_or_critical = header.crit.is_some() || header.enc.is_some() || header.zip.is_some();
    let name_is_plain = header.kid.as_deref().is_none_or(is_plain_name);
    if brings_key || encrypted_or_critical || !name_is_plain {
        return Err(TokenError::Header);
    }
    // RFC 8725, section 3.11: the same issuer also signs tokens of other kinds.
    match header.typ.as_deref().map(str::to_ascii_lowercase).as_deref() {
        None | Some("jwt" | "at+jwt" | "application/at+jwt") => Ok(()),
        Some(_) => Err(TokenError::Kind),
    }
}

fn is_plain_name(kid: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:=+/@".contains(&byte);
    (1..=255).contains(&kid.len()) && kid.bytes().all(plain) && !kid.contains("..")
}

/// Refuses the refresh and identity tokens of issuers that mark them with a claim.
fn check_kind(claims: &Map<String, Value>) -> Result<(), TokenError> {
    for name in ["token_use", "token_type", "typ"] {
        let kind = text(claims, name)?.map(str::to_ascii_lowercase);
        if !matches!(
            kind.as_deref(),
            None | Some("access" | "access_token" | "bearer" | "jwt" | "at+jwt")
        ) {
            return Err(TokenError::Kind);
        }
    }
    Ok(())
}

fn text<'a>(claims: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(TokenError::Claim(name)),
    }
}

/// Reads a NumericDate (RFC 7519, section 2): seconds, possibly with a fraction, which is cut off.
fn instant(claims: &Map<String, Value>, name: &'static str) -> Result<Option<DateTime<Utc>>, TokenError> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let Value::Number(number) = value else {
        return Err(TokenError::Claim(name));
    };
    let written = number.to_string();
    let whole = written
        .split_once('.')
        .map_or(written.as_str(), |(whole, _)| whole);
    let seconds: i64 = whole.parse().map_err(|_| TokenError::Claim(name))?;
    DateTime::from_timestamp(seconds, 0)
        .map(Some)
        .ok_or(TokenError::Claim(name))
}
