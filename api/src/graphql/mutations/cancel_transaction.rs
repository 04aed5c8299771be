//! The mutation `cancelTransaction`.

use async_graphql::{Context, Object};

use super::Call;
use crate::errors::ApiError;
use crate::graphql::types::WalletTransaction;

#[derive(Debug, Default)]
pub(crate) struct CancelTransaction;

#[Object]
impl CancelTransaction {
    /// Requests that a transaction is cancelled before anything irreversible has happened. Returns it as it is now: a worker
    /// cancels it, or completes it if it was too late. Repeating the request is harmless.
    async fn cancel_transaction(
        &self,
        ctx: &Context<'_>,
        transaction_id: String,
    ) -> Result<WalletTransaction, ApiError> {
        let call = Call::new(ctx, None)?;
        call.change(async move |call: Call| call.app.acceptor.cancel(&call.caller, &transaction_id).await)
            .await
    }
}
