//! The type `Query`. What the caller may not see looks as if it did not exist.

use async_graphql::{Context, Object};
use wallet_core::accept::Caller;
use wallet_core::db::{Db, DbError};
use wallet_core::ids::{TransactionId, UserId, WalletId};
use wallet_core::transactions::{self, Transaction};
use wallet_core::wallets::{self, Wallet};

use super::types::{WalletNode, WalletTransaction};
use crate::context::ContextExt;
use crate::errors::ApiError;
use crate::state::App;

/// The data that can be read.
#[derive(Debug, Default)]
pub(crate) struct Query;

#[Object]
impl Query {
    /// One of the caller's wallets; support and above may read anybody's.
    async fn wallet(&self, ctx: &Context<'_>, id: String) -> Result<Option<WalletNode>, ApiError> {
        Ok(visible_wallet(ctx.app()?, ctx.caller()?, &id)
            .await?
            .map(WalletNode))
    }

    /// The caller's wallets, oldest first; support and above may list another person's. Never more than one person may have: if a
    /// person has more, from before there was a limit, `after` leads to the others.
    async fn wallets(
        &self,
        ctx: &Context<'_>,
        user_id: Option<String>,
        #[graphql(desc = "Those behind the wallet of this id.")] after: Option<String>,
    ) -> Result<Vec<WalletNode>, ApiError> {
        let (app, caller) = (ctx.app()?, ctx.caller()?);
        let user = whose(caller, user_id.as_deref())?;
        let after: Option<WalletId> = after
            .map(|id| id.parse())
            .transpose()
            .map_err(|_| ApiError::validation("after", "must be the id of a wallet"))?;
        let found = app
            .reads
            .read(|db| wallets_of(db, user, after, app.most_wallets))
            .await?;
        Ok(found.into_iter().map(WalletNode).collect())
    }

    /// A transaction of one of the caller's wallets; support and above may read anybody's.
    async fn transaction(
        &self,
        ctx: &Context<'_>,
        id: String,
    ) -> Result<Option<WalletTransaction>, ApiError> {
        let caller = ctx.caller()?;
        let found = visible_transaction(ctx.app()?, caller, &id).await?;
        Ok(found.map(|row| WalletTransaction::alone(row, caller)))
    }
}

fn whose(caller: &Caller, named: Option<&str>) -> Result<UserId, ApiError> {
    let Some(named) = named else {
        return Ok(caller.user_id);
    };
    let named: UserId = named
        .parse()
        .map_err(|_| ApiError::validation("userId", "must be a UUID"))?;
    if named == caller.user_id || caller.role.reads_others() {
        Ok(named)
    } else {
        Err(ApiError::Forbidden(
            "only support and operators may list the wallets of others: leave userId out",
        ))
    }
}

async fn wallets_of(
    db: Db,
    user: UserId,
    after: Option<WalletId>,
    most: u32,
) -> Result<Vec<Wallet>, DbError> {
    wallets::of_user(&mut *db.conn().await?, user, after, most).await
}

/// Returns the wallet with an id, if the caller may see it; a text that is not an id names none.
pub(super) async fn visible_wallet(app: &App, caller: &Caller, id: &str) -> Result<Option<Wallet>, DbError> {
    let Ok(id) = id.parse::<WalletId>() else {
        return Ok(None);
    };
    let mut conn = app.db.conn().await?;
    if caller.role.reads_others() {
        wallets::find(&mut conn, id).await
    } else {
        wallets::find_owned(&mut conn, id, caller.user_id).await
    }
}

/// Returns the transaction with an id, if the caller may see it; a text that is not an id names none.
pub(super) async fn visible_transaction(
    app: &App,
    caller: &Caller,
    id: &str,
) -> Result<Option<Transaction>, DbError> {
    let Ok(id) = id.parse::<TransactionId>() else {
        return Ok(None);
    };
    let mut conn = app.db.conn().await?;
    if caller.role.reads_others() {
        transactions::find(&mut conn, id).await
    } else {
        transactions::find_visible(&mut conn, id, caller.user_id).await
    }
}
