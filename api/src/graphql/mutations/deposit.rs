//! The mutation `deposit`.

use async_graphql::{Context, InputObject, Object};
use serde_json::Value;
use wallet_core::accept;

use super::Call;
use crate::errors::ApiError;
use crate::graphql::scalars::Decimal;
use crate::graphql::types::{PaymentMethod, WalletTransaction};

/// A deposit: money from outside into a wallet.
#[derive(InputObject)]
pub(crate) struct DepositInput {
    /// The amount, in the wallet's currency.
    amount: Decimal,
    /// How it is paid.
    #[graphql(default_with = "Some(PaymentMethod::Stripe)")]
    payment_method: Option<PaymentMethod>,
    /// A saved payment method, which the server confirms. Without it the client confirms with the clientSecret.
    stripe_payment_method_id: Option<String>,
    /// Details about the sender; stored encrypted.
    sender_details: Option<Value>,
    /// A description in the client's own words.
    description: Option<String>,
    /// The client's own reference.
    reference: Option<String>,
    /// The client's own data, an object.
    metadata: Option<Value>,
    /// Repeating a request with the same key and input returns the same transaction.
    idempotency_key: Option<String>,
}

impl From<DepositInput> for accept::DepositInput {
    fn from(input: DepositInput) -> Self {
        Self {
            amount: input.amount.into_text(),
            payment_method: input.payment_method.unwrap_or(PaymentMethod::Stripe).into(),
            stripe_payment_method_id: input.stripe_payment_method_id,
            sender_details: input.sender_details,
            description: input.description,
            reference: input.reference,
            metadata: input.metadata,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Deposit;

#[Object]
impl Deposit {
    /// Requests money from outside; it is credited once Stripe reports that it has arrived.
    async fn deposit(
        &self,
        ctx: &Context<'_>,
        wallet_id: String,
        input: DepositInput,
    ) -> Result<WalletTransaction, ApiError> {
        let call = Call::new(ctx, input.idempotency_key.as_deref())?;
        let wanted: accept::DepositInput = input.into();
        call.accept(async move |call: Call| {
            let acceptor = &call.app.acceptor;
            acceptor
                .deposit(&call.caller, &wallet_id, &wanted, call.key.as_ref())
                .await
        })
        .await
    }
}
