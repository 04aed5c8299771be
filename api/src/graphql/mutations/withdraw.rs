//! The mutation `withdraw`.

use async_graphql::{Context, InputObject, Object};
use serde_json::Value;
use wallet_core::accept::{self, AcceptError};
use wallet_core::ids::stripe::AccountId;

use super::Call;
use super::call::within;
use crate::errors::ApiError;
use crate::graphql::scalars::Decimal;
use crate::graphql::types::WalletTransaction;

/// A withdrawal: money from a wallet to its owner's bank.
#[derive(InputObject)]
pub(crate) struct WithdrawInput {
    /// The amount, in the wallet's currency.
    amount: Decimal,
    /// The external account to pay out to; if omitted, the connected account's default. Stored encrypted.
    bank_id: Option<String>,
    /// The account holder's name, for the record. Stored encrypted.
    account_name: Option<String>,
    /// A description in the client's own words.
    description: Option<String>,
    /// The client's own reference.
    reference: Option<String>,
    /// The client's own data, an object.
    metadata: Option<Value>,
    /// Repeating a request with the same key and input returns the same transaction.
    idempotency_key: Option<String>,
}

impl From<WithdrawInput> for accept::WithdrawInput {
    fn from(input: WithdrawInput) -> Self {
        Self {
            amount: input.amount.into_text(),
            bank_id: input.bank_id,
            account_name: input.account_name,
            description: input.description,
            reference: input.reference,
            metadata: input.metadata,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Withdraw;

#[Object]
impl Withdraw {
    /// Requests a payout: the money is held at once, and the withdrawal is completed when the bank has it.
    async fn withdraw(
        &self,
        ctx: &Context<'_>,
        wallet_id: String,
        input: WithdrawInput,
    ) -> Result<WalletTransaction, ApiError> {
        let call = Call::new(ctx, input.idempotency_key.as_deref())?;
        let wanted: accept::WithdrawInput = input.into();
        call.accept(async move |call: Call| {
            let acceptor = &call.app.acceptor;
            let accept = || acceptor.withdraw(&call.caller, &wallet_id, &wanted, call.key.as_ref());
            match accept().await {
                Err(AcceptError::PayoutAccountNotReady { account, .. })
                    if is_told_otherwise(&call, &account).await =>
                {
                    accept().await
                }
                accepted => accepted,
            }
        })
        .await
    }
}

/// Asks Stripe again about a payout account that was not ready by Stripe's last report, and returns whether it is now: the event that says so
/// may be on its way, or lost. If Stripe cannot be asked, the last report counts.
async fn is_told_otherwise(call: &Call, account: &AccountId) -> bool {
    if call.take_provider_request().await.is_err() {
        return false;
    }
    let asked = call.app.payees.ask_again(call.caller.user_id, account);
    match within(async { asked.await.map_err(ApiError::from) }).await {
        Ok(is_new) => is_new,
        Err(error) => {
            tracing::debug!(%account, %error, "the payout account could not be asked about");
            false
        }
    }
}
