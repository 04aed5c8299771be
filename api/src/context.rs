//! What a resolver knows of the request it works for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_graphql::{Context, QueryPathNode, QueryPathSegment};
use wallet_core::accept::{Caller, IdempotencyKey};

use crate::errors::ApiError;
use crate::places::Turn;
use crate::state::App;

/// The value of an `Idempotency-Key` header, if there was one; checked where it is used.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeaderKey(pub(crate) Option<String>);

/// What one request has taken so far: questions to the database beside those of the root, and bytes of its answer. Pages are bounded before
/// the request runs, but how many wallets a person has is only known while it does, so that the questions have a bound of their own.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    reads: AtomicUsize,
    bytes: AtomicUsize,
}

impl Spent {
    /// Most questions: four for each wallet of a person who has as many as one usually may.
    const MOST_READS: usize = 400;

    /// How many questions were asked.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    /// How large the answer has become.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Notes how large the answer has become.
    pub(crate) fn set_bytes(&self, bytes: usize) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    fn take_reads(&self, number: usize) -> Result<(), ApiError> {
        let taken = self
            .reads
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |reads| {
                Some(reads.saturating_add(number)).filter(|sum| *sum <= Self::MOST_READS)
            });
        let mend = "the request reads more histories, timelines and debts than one may; ask for fewer wallets at once";
        taken
            .map(|_| ())
            .map_err(|_| ApiError::LimitExceeded(mend.into()))
    }
}

/// Typed access to the data of a request. Data that is missing is a fault of ours, never the client's.
pub(crate) trait ContextExt<'a> {
    /// The parts of this process.
    fn app(&self) -> Result<&'a Arc<App>, ApiError>;

    /// Who asks.
    fn caller(&self) -> Result<&'a Caller, ApiError>;

    /// Whether the value at hand is one of a list: then more than was asked about comes with it.
    fn in_list(&self) -> bool;

    /// Takes so many reads, which follow one another, out of the request's budget. A subscription, whose pages are bounded like any, has
    /// none; it takes one of its caller's turns for them instead, as a request does for all of it.
    async fn take_reads(&self, number: usize) -> Result<Option<Turn>, ApiError>;

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
