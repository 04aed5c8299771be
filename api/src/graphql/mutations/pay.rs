//! The mutation `pay`.

use async_graphql::{Context, InputObject, Object};
use serde_json::Value;
use wallet_core::accept;

use super::Call;
use crate::errors::ApiError;
use crate::graphql::scalars::Decimal;
use crate::graphql::types::WalletTransaction;

/// A payment: money from one wallet to another, of which the platform keeps a fee.
#[derive(InputObject)]
pub(crate) struct PayInput {
    /// The receiving wallet, of the same currency.
    to_wallet_id: String,
    /// The amount in the wallets' currency; the receiver gets it without the fee.
    amount: Decimal,
    /// A description in the client's own words; the receiver sees it.
    description: Option<String>,
    /// The client's own reference; the receiver sees it.
    reference: Option<String>,
    /// The client's own data, an object.
    metadata: Option<Value>,
    /// Repeating a request with the same key and input returns the same transaction.
    idempotency_key: Option<String>,
}

impl From<PayInput> for accept::TransferInput {
    fn from(input: PayInput) -> Self {
        Self {
            to_wallet_id: input.to_wallet_id,
            amount: input.amount.into_text(),
            receiver_details: None,
            description: input.description,
            reference: input.reference,
            metadata: input.metadata,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Pay;

#[Object]
impl Pay {
    /// Requests a payment to another wallet. The fee is fixed now and shown at once.
    async fn pay(
        &self,
        ctx: &Context<'_>,
        wallet_id: String,
        input: PayInput,
    ) -> Result<WalletTransaction, ApiError> {
        let call = Call::new(ctx, input.idempotency_key.as_deref())?;
        let wanted: accept::TransferInput = input.into();
        call.accept(async move |call: Call| {
            let acceptor = &call.app.acceptor;
            acceptor
                .pay(&call.caller, &wallet_id, &wanted, call.key.as_ref())
                .await
        })
        .await
    }
}
