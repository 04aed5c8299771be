//! The mutations `freezeWallet` and `unfreezeWallet`.

use std::sync::Arc;

use async_graphql::{Context, Object};

use super::Call;
use crate::errors::ApiError;
use crate::graphql::types::WalletNode;

#[derive(Debug, Default)]
pub(crate) struct FreezeWallet;

#[Object]
impl FreezeWallet {
    /// Deactivates a wallet; operators only. Nothing leaves it, requests for it are refused with WALLET_INACTIVE, and holds whose money
    /// has not left are released. Money that comes in is still booked. The reason is recorded and is not shown to the owner.
    async fn freeze_wallet(
        &self,
        ctx: &Context<'_>,
        wallet_id: String,
        reason: String,
    ) -> Result<WalletNode, ApiError> {
        set_active(ctx, wallet_id, false, reason).await
    }

    /// Activates a wallet that was deactivated; operators only. The reason is recorded.
    async fn unfreeze_wallet(
        &self,
        ctx: &Context<'_>,
        wallet_id: String,
        reason: String,
    ) -> Result<WalletNode, ApiError> {
        set_active(ctx, wallet_id, true, reason).await
    }
}

async fn set_active(
    ctx: &Context<'_>,
    wallet: String,
    active: bool,
    reason: String,
) -> Result<WalletNode, ApiError> {
    let call = Call::new(ctx, None)?;
    let app = Arc::clone(&call.app);
    let done = Call::to_its_end(&app, async move {
        let acceptor = &call.app.acceptor;
        acceptor.set_active(&call.caller, &wallet, active, &reason).await
    });
    Ok(WalletNode(done.await?))
}
