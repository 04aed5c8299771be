//! `Subscription`: the current row first, then every change.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Context, Subscription};
use futures::Stream;
use futures::stream::try_unfold;
use wallet_core::accept::Caller;
use wallet_core::db::DbError;

use super::query::{visible_transaction, visible_wallet};
use super::types::{WalletNode, WalletTransaction};
use crate::context::ContextExt;
use crate::errors::ApiError;
use crate::state::App;

/// How often a row is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What can be watched.
#[derive(Debug, Default)]
pub(crate) struct Subscription;

#[Subscription]
impl Subscription {
    /// A transaction of the caller's: as it is now, then each change; ends after a final state.
    async fn transaction_updated(
        &self,
        ctx: &Context<'_>,
        id: String,
    ) -> Result<impl Stream<Item = Result<WalletTransaction, ApiError>> + use<>, ApiError> {
        let watch = Watch::new(ctx, id)?;
        Ok(try_unfold(
            (watch, None::<WalletTransaction>),
            |(watch, last)| async move {
                if last.as_ref().is_some_and(|last| last.row().status.is_final()) {
                    return Ok(None);
                }
                let now = watch.next_transaction(last.as_ref()).await?;
                Ok(Some((now.clone(), (watch, Some(now)))))
            },
        ))
    }

    /// A wallet of the caller's: as it is now, then each change.
    async fn wallet_updated(
        &self,
        ctx: &Context<'_>,
        id: String,
    ) -> Result<impl Stream<Item = Result<WalletNode, ApiError>> + use<>, ApiError> {
        let watch = Watch::new(ctx, id)?;
        Ok(try_unfold(
            (watch, None::<WalletNode>),
            |(watch, last)| async move {
                let now = watch.next_wallet(last.as_ref()).await?;
                Ok(Some((now.clone(), (watch, Some(now)))))
            },
        ))
    }
}

/// One watched row.
struct Watch {
    app: Arc<App>,
    caller: Caller,
    id: String,
}

impl Watch {
    fn new(ctx: &Context<'_>, id: String) -> Result<Self, ApiError> {
        Ok(Self {
            app: Arc::clone(ctx.app()?),
            caller: ctx.caller()?.clone(),
            id,
        })
    }

    /// The transaction at once, or as soon as it differs from `last`.
    async fn next_transaction(
        &self,
        last: Option<&WalletTransaction>,
    ) -> Result<WalletTransaction, ApiError> {
        let mut is_first = last.is_none();
        loop {
            let row = look(is_first, || {
                visible_transaction(&self.app, &self.caller, &self.id)
            })
            .await?;
            let row = row.ok_or(ApiError::TransactionNotFound)?;
            let is_same = |last: &WalletTransaction| {
                (last.row().stage, last.row().updated_at) == (row.stage, row.updated_at)
            };
            if !last.is_some_and(is_same) {
                return Ok(WalletTransaction::alone(row, &self.caller));
            }
            is_first = false;
        }
    }

    /// The wallet at once, or as soon as it differs from `last`.
    async fn next_wallet(&self, last: Option<&WalletNode>) -> Result<WalletNode, ApiError> {
        let mut is_first = last.is_none();
        loop {
            let now = look(is_first, || visible_wallet(&self.app, &self.caller, &self.id)).await?;
            let now = now.ok_or(ApiError::WalletNotFound)?;
            let is_same = |WalletNode(last): &WalletNode| {
                (last.balance, last.frozen_balance, last.is_active, last.updated_at)
                    == (now.balance, now.frozen_balance, now.is_active, now.updated_at)
            };
            if !last.is_some_and(is_same) {
                return Ok(WalletNode(now));
            }
            is_first = false;
        }
    }
}

/// Reads a row: the first time at once, later after a pause and as often as it takes, since a database that is away for a moment
/// must not end what somebody is watching.
async fn look<T, F>(is_first: bool, read: impl Fn() -> F) -> Result<Option<T>, DbError>
where
    F: Future<Output = Result<Option<T>, DbError>>,
{
    if is_first {
        return read().await;
    }
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        match read().await {
            Err(error) if error.is_transient() => tracing::debug!(%error, "watched row not read, trying on"),
            outcome => return outcome,
        }
    }
}
