//! The mutation `changePayoutAccount`.

use std::sync::Arc;

use async_graphql::{Context, Object};

use super::Call;
use super::call::within;
use crate::errors::ApiError;
use crate::graphql::types::WalletNode;

#[derive(Debug, Default)]
pub(crate) struct ChangePayoutAccount;

#[Object]
impl ChangePayoutAccount {
    /// Lets the caller's own wallet pay out to another connected account, for example if the first was mistyped. The account's
    /// metadata.user_id at Stripe must be the caller. Withdrawals that were accepted before still go to the previous account; new ones
    /// wait for a day, so that the owner can notice a change that they did not make.
    async fn change_payout_account(
        &self,
        ctx: &Context<'_>,
        wallet_id: String,
        stripe_account_id: String,
    ) -> Result<WalletNode, ApiError> {
        let call = Call::new(ctx, None)?;
        call.take_provider_request().await?;
        let app = Arc::clone(&call.app);
        let changed = Call::to_its_end(&app, async move {
            let payees = &call.app.payees;
            Box::pin(payees.change_account(&call.caller, &wallet_id, &stripe_account_id)).await
        });
        Ok(WalletNode(within(changed).await?))
    }
}
