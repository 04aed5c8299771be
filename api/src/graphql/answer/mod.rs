//! Finishes answers before they are sent: bounds their size, and completes them as the specification requires.

mod complete;
mod size;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextExecute, NextResolve, ResolveInfo,
};
use async_graphql::{Response, ServerResult, Value};
use async_trait::async_trait;

use super::limits::{MAX_ANSWER, Plan};
use super::refusal;
use crate::context::Spent;
use crate::errors::ApiError;

/// The bytes of an error besides its message: its path, location and code.
const ERROR_BYTES: usize = 512;

/// The extension in which an answer that is null returns the results of those mutations that were carried out. A refused mutation makes the
/// whole `data` null, since its type is non-null, but the others are not undone by it
/// (<https://spec.graphql.org/September2025/#sec-Handling-Execution-Errors>).
const SUCCEEDED: &str = "succeeded";

/// Bounds and completes the answers of a schema.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answers {
    /// The maximum size of an answer, in bytes.
    most: usize,
}

impl Default for Answers {
    fn default() -> Self {
        Self { most: MAX_ANSWER }
    }
}

impl ExtensionFactory for Answers {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Answer {
            bytes: AtomicUsize::new(0),
            most: self.most,
        })
    }
}

/// One answer while it is built; for a subscription, one after the other.
#[derive(Debug)]
struct Answer {
    bytes: AtomicUsize,
    most: usize,
}

impl Answer {
    fn is_too_large(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > self.most
    }

    fn add(&self, bytes: usize) {
        let _ = self
            .bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |sum| {
                Some(sum.saturating_add(bytes))
            });
    }
}

#[async_trait]
impl Extension for Answer {
    async fn execute(
        &self,
        ctx: &ExtensionContext<'_>,
        operation_name: Option<&str>,
        next: NextExecute<'_>,
    ) -> Response {
        self.bytes.store(0, Ordering::Relaxed);
        let mut response = next.run(ctx, operation_name).await;
        if let Some(spent) = ctx.data_opt::<Arc<Spent>>() {
            spent.set_bytes(self.bytes.load(Ordering::Relaxed));
        }
        if self.is_too_large() {
            let error = ApiError::LimitExceeded(
                "the answer would be larger than 8 MiB; ask for smaller pages, for fewer wallets or for fewer fields".into(),
            );
            return refusal(&error, ctx.data_opt());
        }
        if let Some(plan) = ctx.data_opt::<Plan>() {
            let found = std::mem::take(&mut response.data);
            let succeeded = plan
                .holds_several_mutations()
                .then(|| complete::succeeded(plan, &found));
            response.data = complete::data(plan, found);
            if let Some(succeeded) = succeeded.filter(|_| response.data == Value::Null) {
                response.extensions.insert(SUCCEEDED.to_owned(), succeeded);
            }
        }
        response
    }

    /// Counts the size of every result. Once the answer is too large nothing more is read: the answer is replaced as a whole.
    async fn resolve(
        &self,
        ctx: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        if self.is_too_large() {
            return Ok(Some(Value::Null));
        }
        let is_leaf = info.field.selection_set.node.items.is_empty();
        let key = info.alias.unwrap_or(info.name).len() + size::KEY;
        let result = next.run(ctx, info).await;
        self.add(match &result {
            Ok(Some(value)) if is_leaf => key.saturating_add(size::of(value)),
            Ok(_) => key.saturating_add(size::BRACKETS),
            Err(error) => ERROR_BYTES.saturating_add(size::of_text(&error.message)),
        });
        result
    }
}

#[cfg(test)]
mod tests;
