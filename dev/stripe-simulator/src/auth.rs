//! Authenticates the caller: the key, as bearer token or basic user name.

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::errors::ApiError;
use crate::form::Params;

/// The kind of a key, which decides what it may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// `sk_test_…` or `rk_test_…`: everything.
    Secret,
    /// `pk_test_…`: what a browser may do.
    Publishable,
}

/// Returns the kind of the caller's key. `only` is the one secret key that is accepted; without it any `sk_test_…` is.
///
/// # Errors
/// 401 without a key, with a malformed or live one, or with another secret key than `only`.
pub(crate) fn key(headers: &HeaderMap, params: &Params, only: Option<&str>) -> Result<KeyKind, ApiError> {
    let key = presented(headers).or_else(|| params.owned("key")).ok_or_else(|| {
        ApiError::unauthorized(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for details, or we can help at https://support.stripe.com/."
                .to_owned(),
        )
    })?;
    let long_enough = |prefix: &str| key.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty());
    if long_enough("pk_test_") {
        return Ok(KeyKind::Publishable);
    }
    let test_key = long_enough("sk_test_") || long_enough("rk_test_");
    if test_key && only.is_none_or(|only| only == key) {
        return Ok(KeyKind::Secret);
    }
    Err(ApiError::unauthorized(format!(
        "Invalid API Key provided: {}",
        masked(&key)
    )))
}

fn presented(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned()).filter(|key| !key.is_empty());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
        return decoded
            .split(':')
            .next()
            .map(str::to_owned)
            .filter(|key| !key.is_empty());
    }
    None
}

/// Returns a key as Stripe's messages show it: the beginning and the last four characters.
fn masked(key: &str) -> String {
    let shown: String = key.chars().take(8).collect();
    let length = key.chars().count();
    let end: String = key.chars().skip(length.saturating_sub(4).max(8)).collect();
    format!("{shown}{}{end}", "*".repeat(length.saturating_sub(12)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(authorization: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        headers
    }

    #[test]
    fn bearer_and_basic_keys_are_accepted() {
        let none = Params::default();
        assert_eq!(
            key(&with("Bearer sk_test_1"), &none, None).unwrap(),
            KeyKind::Secret
        );
        assert_eq!(
            key(&with("Basic c2tfdGVzdF8xOg=="), &none, None).unwrap(),
            KeyKind::Secret
        );
        assert_eq!(
            key(&with("Bearer pk_test_1"), &none, None).unwrap(),
            KeyKind::Publishable
        );
    }

    #[test]
    fn other_keys_are_a_401_that_does_not_show_the_key() {
        let none = Params::default();
        for refused in ["Bearer sk_live_abcdefghijkl", "Bearer sk_test_", "Bearer hello"] {
            assert_eq!(
                key(&with(refused), &none, None).unwrap_err().status(),
                401,
                "{refused}"
            );
        }
        let error = key(&with("Bearer sk_test_abcdefghijkl"), &none, Some("sk_test_other")).unwrap_err();
        assert!(!error.to_string().contains("abcdefghijkl"));
        assert_eq!(key(&HeaderMap::new(), &none, None).unwrap_err().status(), 401);
    }
}
