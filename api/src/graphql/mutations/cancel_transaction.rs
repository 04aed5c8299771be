//! `cancelTransaction`.

use async_graphql::{Context, Object};
use wallet_core::jobs::JobKind;

use super::Call;
use crate::errors::ApiError;
use crate::graphql::types::WalletTransaction;

#[derive(Debug, Default)]
pub(crate) struct CancelTransaction;

#[Object]
impl CancelTransaction {
    /// Asks for a transaction to be undone before anything irreversible has happened. Gives it as it is now: a worker cancels it,
    /// or completes it if it was too late. Repeating it is harmless.
    async fn cancel_transaction(
        &self,
        ctx: &Context<'_>,
        transaction_id: String,
    ) -> Result<WalletTransaction, ApiError> {
        let call = Call::new(ctx, None)?;
        let queue = JobKind::Cancel.queue();
        call.pass_on(&[queue], async move |call: Call, hand_over| {
            call.app
                .acceptor
                .cancel(&call.caller, &transaction_id, hand_over)
                .await
        })
        .await
    }
}
