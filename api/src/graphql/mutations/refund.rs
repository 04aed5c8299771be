//! The mutation `refund`.

use async_graphql::{Context, InputObject, Object};
use wallet_core::accept;

use super::Call;
use crate::errors::ApiError;
use crate::graphql::scalars::Decimal;
use crate::graphql::types::WalletTransaction;

/// A refund: money of a deposit or a payment back to its payer.
#[derive(InputObject)]
pub(crate) struct RefundInput {
    /// The amount in the currency of what is refunded; if omitted, all that is left.
    amount: Option<Decimal>,
    /// The reason in the client's own words; the payer sees it as the refund's description.
    reason: Option<String>,
    /// Repeating a request with the same key and input returns the same transaction.
    idempotency_key: Option<String>,
}

impl From<RefundInput> for accept::RefundInput {
    fn from(input: RefundInput) -> Self {
        Self {
            amount: input.amount.map(Decimal::into_text),
            reason: input.reason,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Refund;

#[Object]
impl Refund {
    /// Requests the refund of a completed deposit (by its owner) or payment (by its payee), in whole or in part; operators may
    /// refund any.
    async fn refund(
        &self,
        ctx: &Context<'_>,
        transaction_id: String,
        input: RefundInput,
    ) -> Result<WalletTransaction, ApiError> {
        let call = Call::new(ctx, input.idempotency_key.as_deref())?;
        let wanted: accept::RefundInput = input.into();
        call.accept(async move |call: Call| {
            let acceptor = &call.app.acceptor;
            acceptor
                .refund(&call.caller, &transaction_id, &wanted, call.key.as_ref())
                .await
        })
        .await
    }
}
