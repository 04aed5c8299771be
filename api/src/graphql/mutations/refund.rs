//! `refund`.

use async_graphql::{Context, InputObject, Object};
use wallet_core::accept;

use super::Call;
use crate::errors::ApiError;
use crate::graphql::scalars::Decimal;
use crate::graphql::types::WalletTransaction;

/// Money of a deposit or a payment back to its payer.
#[derive(InputObject)]
pub(crate) struct RefundInput {
    /// In the currency of what is refunded; all that is left when left out.
    amount: Option<Decimal>,
    /// The client's own words; the payer sees them as the refund's description.
    reason: Option<String>,
    /// The same key and input give the same transaction again.
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
    /// Asks for a completed deposit (by its owner) or payment (by its payee) to be given back, whole or in part; operators may for
    /// all.
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
