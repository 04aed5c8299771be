//! The data of a request, as resolvers use it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_graphql::{Context, QueryPathNode, QueryPathSegment};
use wallet_core::accept::{Caller, IdempotencyKey};

use crate::errors::ApiError;
use crate::places::Turn;
use crate::state::App;

/// The value of the `Idempotency-Key` header, if there is one; it is checked where it is used.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeaderKey(pub(crate) Option<String>);

/// What one request has used so far: reads from the database besides those of the root fields, and bytes of its answer. Pages are bounded
/// before the request runs, but the number of a person's wallets is only known while it runs, so reads have a bound of their own.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    reads: AtomicUsize,
    bytes: AtomicUsize,
}

impl Spent {
    /// The maximum number of reads: four for each wallet of a person who has as many as one usually may.
    const MOST_READS: usize = 400;

    /// Returns the number of reads so far.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    /// Returns the size of the answer so far, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Records the size of the answer so far, in bytes.
    pub(crate) fn set_bytes(&self, bytes: usize) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    fn take_reads(&self, number: usize) -> Result<(), ApiError> {
        let taken = self
            .reads
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |reads| {
                Some(reads.saturating_add(number)).filter(|sum| *sum <= Self::MOST_READS)
            });
        let fix = "the request reads more histories, timelines and debts than one may; ask for fewer wallets at once";
        taken.map(|_| ()).map_err(|_| ApiError::LimitExceeded(fix.into()))
    }
}

/// Typed access to the data of a request. Missing data is the server's fault, but a request without a token has no caller.
pub(crate) trait ContextExt<'a> {
    /// Returns the parts of this process.
    fn app(&self) -> Result<&'a Arc<App>, ApiError>;

    /// Returns the caller.
    fn caller(&self) -> Result<&'a Caller, ApiError>;

    /// Returns whether the value at hand is an item of a list, so that it was not requested by its own id.
    fn in_list(&self) -> bool;

    /// Takes a number of consecutive reads from the request's budget. A subscription has no budget, since its pages are bounded like any
    /// others; it takes one of its caller's turns for them instead, as a request does for all of its reads.
    async fn take_reads(&self, number: usize) -> Result<Option<Turn>, ApiError>;

    /// Returns the idempotency key of a mutation: from the input, from the header, or from both if they are equal.
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

    fn in_list(&self) -> bool {
        let is_index = |node: &QueryPathNode<'_>| matches!(node.segment, QueryPathSegment::Index(_));
        self.path_node
            .as_ref()
            .is_some_and(|node| is_index(node) || node.parents().any(is_index))
    }

    async fn take_reads(&self, number: usize) -> Result<Option<Turn>, ApiError> {
        match self.data_opt::<Arc<Spent>>() {
            Some(spent) => spent.take_reads(number).map(|()| None),
            None => {
                let person = self.caller()?.user_id;
                self.app()?.turns.take(person).await.map(Some)
            }
        }
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
    fn a_budget_ends() {
        let spent = Spent::default();
        assert!((0..Spent::MOST_READS).all(|_| spent.take_reads(1).is_ok()));
        assert!(matches!(spent.take_reads(1), Err(ApiError::LimitExceeded(_))));
        assert_eq!(spent.reads(), Spent::MOST_READS);
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
