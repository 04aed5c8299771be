//! What a resolver knows of the request it works for.

use std::sync::Arc;

use async_graphql::Context;
use wallet_core::accept::{Caller, IdempotencyKey};

use crate::errors::ApiError;
use crate::state::App;

/// The value of an `Idempotency-Key` header, if there was one; checked where it is used.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeaderKey(pub(crate) Option<String>);

/// Typed access to the data of a request. Data that is missing is a fault of ours, never the client's.
pub(crate) trait ContextExt<'a> {
    /// The parts of this process.
    fn app(&self) -> Result<&'a Arc<App>, ApiError>;

    /// Who asks.
    fn caller(&self) -> Result<&'a Caller, ApiError>;

    /// The key of a mutation: of the input, of the header, or of both if they are equal.
    fn idempotency_key(&self, input: Option<&str>) -> Result<Option<IdempotencyKey>, ApiError>;
}

impl<'a> ContextExt<'a> for Context<'a> {
    fn app(&self) -> Result<&'a Arc<App>, ApiError> {
        self.data_opt()
            .ok_or_else(|| ApiError::internal("the schema was built without its app"))
    }

    fn caller(&self) -> Result<&'a Caller, ApiError> {
        self.data_opt().ok_or(ApiError::Unauthenticated)
    }

    fn idempotency_key(&self, input: Option<&str>) -> Result<Option<IdempotencyKey>, ApiError> {
        let header = self.data_opt::<HeaderKey>().and_then(|key| key.0.as_deref());
        one_key(input, header)
    }
}

fn one_key(input: Option<&str>, header: Option<&str>) -> Result<Option<IdempotencyKey>, ApiError> {
    if let (Some(input), Some(header)) = (input, header)
        && input != header
    {
        return Err(ApiError::validation(
            "idempotencyKey",
            "differs from the Idempotency-Key header; send one of them",
        ));
    }
    Ok(input.or(header).map(IdempotencyKey::parse).transpose()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(input: Option<&str>, header: Option<&str>) -> Result<Option<String>, ApiError> {
        Ok(one_key(input, header)?.map(|key| key.as_str().to_owned()))
    }

    #[test]
    fn header_and_input_name_the_same_key() {
        assert_eq!(key(None, None).unwrap(), None);
        assert_eq!(key(Some("a"), None).unwrap().as_deref(), Some("a"));
        assert_eq!(key(None, Some("a")).unwrap().as_deref(), Some("a"));
        assert_eq!(key(Some("a"), Some("a")).unwrap().as_deref(), Some("a"));
    }

    #[test]
    fn a_key_that_differs_or_cannot_be_one_is_refused_with_its_field() {
        for (input, header) in [
            (Some("a"), Some("b")),
            (Some(""), None),
            (None, Some("a b")),
            (Some("ä"), None),
        ] {
            assert!(
                matches!(key(input, header), Err(ApiError::Validation { field, .. }) if field == "idempotencyKey"),
                "{input:?} {header:?}"
            );
        }
    }
}
