//! The id under which a request is logged, answered and audited.

use std::fmt;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use wallet_core::ids::IdSource;

/// The header in which a client or proxy may send an id, and in which the response returns one.
pub(crate) const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The maximum length of an id: the width of the column in the audit trail.
const LONGEST: usize = 64;

/// The id of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestId(Arc<str>);

impl RequestId {
    /// Returns the id that came with the request, if it is safe to log, or a new one.
    pub(crate) fn of(headers: &HeaderMap, ids: &dyn IdSource) -> Self {
        let brought = headers
            .get(REQUEST_ID_HEADER)
            .and_then(|value| value.to_str().ok());
        match brought.filter(|id| is_harmless(id)) {
            Some(id) => Self(id.into()),
            None => Self(ids.next().to_string().into()),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the id as a header of the response.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_harmless(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=LONGEST).contains(&id.len()) && id.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use wallet_core::clock::SystemClock;
    use wallet_core::ids::SystemIds;

    use super::*;

    fn taken(value: &str) -> RequestId {
        let ids = SystemIds::new(Arc::new(SystemClock));
        let mut headers = HeaderMap::new();
        headers.insert(
            REQUEST_ID_HEADER,
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
        RequestId::of(&headers, &ids)
    }

    #[test]
    fn a_harmless_id_is_kept_and_any_other_replaced() {
        assert_eq!(taken("req-1.a_B").as_str(), "req-1.a_B");
        for wrong in ["", "a b", "{\"x\":1}", "schlüssel", &"x".repeat(65)] {
            assert_ne!(taken(wrong).as_str(), wrong);
            assert_eq!(taken(wrong).as_str().len(), 36);
        }
    }
}
