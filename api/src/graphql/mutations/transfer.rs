//! The mutation `transfer`.

use async_graphql::{Context, InputObject, Object};
use serde_json::Value;
use wallet_core::accept;

use super::Call;
use crate::errors::ApiError;
use crate::graphql::scalars::Decimal;
use crate::graphql::types::WalletTransaction;

/// A transfer: money from one wallet to another.
#[derive(InputObject)]
pub(crate) struct TransferInput {
    /// The receiving wallet, of the same currency.
    to_wallet_id: String,
    /// The amount, in the wallets' currency.
    amount: Decimal,
    /// Details about the receiver; stored encrypted.
    receiver_details: Option<Value>,
    /// A description in the client's own words; the receiver sees it.
    description: Option<String>,
    /// The client's own reference; the receiver sees it.
    reference: Option<String>,
    /// The client's own data, an object.
    metadata: Option<Value>,
    /// Repeating a request with the same key and input returns the same transaction.
    idempotency_key: Option<String>,
}

impl From<TransferInput> for accept::TransferInput {
    fn from(input: TransferInput) -> Self {
        Self {
            to_wallet_id: input.to_wallet_id,
            amount: input.amount.into_text(),
            receiver_details: input.receiver_details,
            description: input.description,
            reference: input.reference,
            metadata: input.metadata,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Transfer;

#[Object]
impl Transfer {
    /// Requests a transfer of money to another wallet.
    async fn transfer(
        &self,
        ctx: &Context<'_>,
        from_wallet_id: String,
        input: TransferInput,
    ) -> Result<WalletTransaction, ApiError> {
        let call = Call::new(ctx, input.idempotency_key.as_deref())?;
        let wanted: accept::TransferInput = input.into();
        call.accept(async move |call: Call| {
            let acceptor = &call.app.acceptor;
            acceptor
                .transfer(&call.caller, &from_wallet_id, &wanted, call.key.as_ref())
                .await
        })
        .await
        .map_err(|error| error.of_wallet_in("fromWalletId"))
    }
}
