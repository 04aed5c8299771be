//! The type `Subscription`: the current row first, then every change.

use std::sync::Arc;

use async_graphql::{Context, Subscription};
use futures::Stream;
use futures::stream::try_unfold;
use wallet_core::accept::Caller;
use wallet_core::ids::{TransactionId, WalletId};

use super::types::{WalletNode, WalletTransaction};
use crate::context::ContextExt;
use crate::errors::ApiError;
use crate::watching::{SeenTransaction, SeenWallet, Watch};

/// The data that can be watched.
#[derive(Debug, Default)]
pub(crate) struct Subscription;

#[Subscription]
impl Subscription {
    /// A transaction that the caller may read: as it is now, then each change; ends after a final state.
    async fn transaction_updated(
        &self,
        ctx: &Context<'_>,
        id: String,
    ) -> Result<impl Stream<Item = Result<WalletTransaction, ApiError>> + use<>, ApiError> {
        let id: TransactionId = id
            .parse()
            .map_err(|_| ApiError::TransactionNotFound { field: "id" })?;
        let watch = ctx.app()?.transactions.watch(id.uuid());
        let caller = ctx.caller()?.clone();
        Ok(try_unfold(
            (watch, caller, None::<Arc<SeenTransaction>>),
            |(mut watch, caller, last)| async move {
                if last.as_ref().is_some_and(|last| last.row.status.is_final()) {
                    return Ok(None);
                }
                let now = next_transaction(&mut watch, &caller, last.as_deref()).await?;
                let shown = WalletTransaction::alone(now.row.clone(), &caller);
                Ok(Some((shown, (watch, caller, Some(now)))))
            },
        ))
    }

    /// A wallet that the caller may read: as it is now, then each change.
    async fn wallet_updated(
        &self,
        ctx: &Context<'_>,
        id: String,
    ) -> Result<impl Stream<Item = Result<WalletNode, ApiError>> + use<>, ApiError> {
        let id: WalletId = id.parse().map_err(|_| ApiError::WalletNotFound { field: "id" })?;
        let watch = ctx.app()?.wallets.watch(id.uuid());
        let caller = ctx.caller()?.clone();
        Ok(try_unfold(
            (watch, caller, None::<Arc<SeenWallet>>),
            |(mut watch, caller, last)| async move {
                let now = next_wallet(&mut watch, &caller, last.as_deref()).await?;
                let shown = WalletNode(now.row.clone());
                Ok(Some((shown, (watch, caller, Some(now)))))
            },
        ))
    }
}

/// Returns the transaction at once, or as soon as it shows the caller something different from `last`.
async fn next_transaction(
    watch: &mut Watch<SeenTransaction>,
    caller: &Caller,
    last: Option<&SeenTransaction>,
) -> Result<Arc<SeenTransaction>, ApiError> {
    loop {
        let found = watch.next().await?;
        let now = found
            .filter(|found| found.is_visible_to(caller))
            .ok_or(ApiError::TransactionNotFound { field: "id" })?;
        // Only a caller who may read the timeline is notified of its lines.
        let shows_lines = WalletTransaction::shows_timeline(&now.row, caller);
        let is_same = |last: &SeenTransaction| {
            (last.row.stage, last.row.updated_at) == (now.row.stage, now.row.updated_at)
                && (!shows_lines || last.line == now.line)
        };
        if !last.is_some_and(is_same) {
            return Ok(now);
        }
    }
}

/// Returns the wallet at once, or as soon as it shows something different from `last`.
async fn next_wallet(
    watch: &mut Watch<SeenWallet>,
    caller: &Caller,
    last: Option<&SeenWallet>,
) -> Result<Arc<SeenWallet>, ApiError> {
    loop {
        let found = watch.next().await?;
        let now = found
            .filter(|found| found.is_visible_to(caller))
            .ok_or(ApiError::WalletNotFound { field: "id" })?;
        if !last.is_some_and(|last| now.is_as(last)) {
            return Ok(now);
        }
    }
}
