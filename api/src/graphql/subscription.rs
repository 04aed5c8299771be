//! `Subscription`: the current row first, then every change.

use std::sync::Arc;

use async_graphql::{Context, Subscription};
use futures::Stream;
use futures::stream::try_unfold;
use uuid::Uuid;
use wallet_core::accept::Caller;
use wallet_core::db::DbError;
use wallet_core::ids::{TransactionId, WalletId};
use wallet_core::transactions::{self, Transaction};

use super::query::{visible_transaction, visible_wallet};
use super::types::{WalletNode, WalletTransaction};
use super::watch::Looks;
use crate::context::ContextExt;
use crate::errors::ApiError;
use crate::state::App;

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
        let key: TransactionId = id.parse().map_err(|_| ApiError::TransactionNotFound)?;
        let watch = Watch::new(ctx, id, key.uuid())?;
        Ok(try_unfold(
            (watch, None::<Seen>),
            |(mut watch, last)| async move {
                if last.as_ref().is_some_and(|last| last.row.status.is_final()) {
                    return Ok(None);
                }
                let now = watch.next_transaction(last.as_ref()).await?;
                let shown = WalletTransaction::alone(now.row.clone(), &watch.caller);
                Ok(Some((shown, (watch, Some(now)))))
            },
        ))
    }

    /// A wallet of the caller's: as it is now, then each change.
    async fn wallet_updated(
        &self,
        ctx: &Context<'_>,
        id: String,
    ) -> Result<impl Stream<Item = Result<WalletNode, ApiError>> + use<>, ApiError> {
        let key: WalletId = id.parse().map_err(|_| ApiError::WalletNotFound)?;
        let watch = Watch::new(ctx, id, key.uuid())?;
        Ok(try_unfold(
            (watch, None::<WalletNode>),
            |(mut watch, last)| async move {
                let now = watch.next_wallet(last.as_ref()).await?;
                Ok(Some((now.clone(), (watch, Some(now)))))
            },
        ))
    }
}

/// A transaction as it was told.
struct Seen {
    row: Transaction,
    /// The newest line of its timeline: lines are also written between two changes of the row.
    line: Option<Uuid>,
}

impl Seen {
    async fn read(app: &App, caller: &Caller, id: &str) -> Result<Option<Self>, DbError> {
        let Some(row) = visible_transaction(app, caller, id).await? else {
            return Ok(None);
        };
        // Only those who may read the timeline are told of its lines.
        let line = if WalletTransaction::shows_timeline(&row, caller) {
            transactions::newest_line(&mut *app.db.conn().await?, row.id).await?
        } else {
            None
        };
        Ok(Some(Self { row, line }))
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.row.stage, self.row.updated_at, self.line)
            == (other.row.stage, other.row.updated_at, other.line)
    }
}

/// One watched row.
struct Watch {
    app: Arc<App>,
    caller: Caller,
    id: String,
    looks: Looks,
}

impl Watch {
    /// Watches from now on: before the first look, so that nothing is missed between the two.
    fn new(ctx: &Context<'_>, id: String, key: Uuid) -> Result<Self, ApiError> {
        let app = Arc::clone(ctx.app()?);
        Ok(Self {
            looks: Looks::new(app.feed.watch(key), app.subscription_poll),
            caller: ctx.caller()?.clone(),
            app,
            id,
        })
    }

    /// The transaction at once, or as soon as it differs from `last`.
    async fn next_transaction(&mut self, last: Option<&Seen>) -> Result<Seen, ApiError> {
        let (app, caller, id) = (&self.app, &self.caller, &self.id);
        loop {
            let seen = self.looks.look(|| Seen::read(app, caller, id)).await?;
            let seen = seen.ok_or(ApiError::TransactionNotFound)?;
            if !last.is_some_and(|last| last.is_same(&seen)) {
                return Ok(seen);
            }
        }
    }

    /// The wallet at once, or as soon as it differs from `last`.
    async fn next_wallet(&mut self, last: Option<&WalletNode>) -> Result<WalletNode, ApiError> {
        let (app, caller, id) = (&self.app, &self.caller, &self.id);
        loop {
            let now = self.looks.look(|| visible_wallet(app, caller, id)).await?;
            let now = now.ok_or(ApiError::WalletNotFound)?;
            let is_same = |WalletNode(last): &WalletNode| {
                (last.balance, last.frozen_balance, last.is_active, last.updated_at)
                    == (now.balance, now.frozen_balance, now.is_active, now.updated_at)
            };
            if !last.is_some_and(is_same) {
                return Ok(WalletNode(now));
            }
        }
    }
}
