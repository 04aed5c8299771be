//! The mutation `createWallet`.

use std::sync::Arc;

use async_graphql::{Context, InputObject, Object};
use wallet_core::accept;
use wallet_core::wallets::Wallet;

use super::Call;
use super::call::within;
use crate::errors::ApiError;
use crate::graphql::types::WalletNode;
use crate::metrics::ACCEPTED;

/// The currency of a wallet if none is named.
const DEFAULT_CURRENCY: &str = "usd";

/// The bank account to which a person is paid.
#[derive(InputObject)]
pub(crate) struct BankDetailsInput {
    /// The account holder's name.
    account_name: String,
    /// The account's number or IBAN.
    account_number: String,
    /// The bank's routing number.
    routing_number: Option<String>,
    /// The bank's name.
    bank_name: Option<String>,
    /// The country, a code of two letters.
    country: Option<String>,
}

/// A new wallet.
#[derive(InputObject)]
pub(crate) struct CreateWalletInput {
    /// Repeating a request with the same key and input returns the same wallet.
    idempotency_key: Option<String>,
    /// The owner, if it is not the caller; operators only.
    user_id: Option<String>,
    /// ISO 4217 code.
    #[graphql(default_with = "Some(DEFAULT_CURRENCY.to_owned())")]
    currency: Option<String>,
    /// The bank account to which the owner is paid; stored encrypted.
    bank_details: Option<BankDetailsInput>,
    /// The connected account at Stripe that receives withdrawals; its metadata.user_id at Stripe must be the owner.
    stripe_account_id: Option<String>,
}

impl From<CreateWalletInput> for accept::CreateWalletInput {
    fn from(input: CreateWalletInput) -> Self {
        Self {
            user_id: input.user_id,
            currency: input.currency.unwrap_or_else(|| DEFAULT_CURRENCY.to_owned()),
            bank_details: input.bank_details.map(|details| accept::BankDetails {
                account_name: details.account_name,
                account_number: details.account_number,
                routing_number: details.routing_number,
                bank_name: details.bank_name,
                country: details.country,
            }),
            stripe_account_id: input.stripe_account_id,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct CreateWallet;

#[Object]
impl CreateWallet {
    /// Creates an active, empty wallet.
    async fn create_wallet(
        &self,
        ctx: &Context<'_>,
        input: CreateWalletInput,
    ) -> Result<WalletNode, ApiError> {
        let call = Call::new(ctx, input.idempotency_key.as_deref())?;
        let new = accept::NewWallet::checked(&call.caller, input.into())?;
        let (app, has_key) = (Arc::clone(&call.app), call.key.is_some());
        let created = Call::to_its_end(&app, async move { Box::pin(create(&call, &new)).await });
        let wallet = within(created).await.map_err(|error| error.with_key(has_key))?;
        metrics::counter!(ACCEPTED, "type" => "wallet").increment(1);
        Ok(WalletNode(wallet))
    }
}

/// A repeated key returns its wallet at once; a new wallet that names an account is created once Stripe has confirmed its owner.
async fn create(call: &Call, new: &accept::NewWallet) -> Result<Wallet, ApiError> {
    let (acceptor, key) = (&call.app.acceptor, call.key.as_ref());
    let account = match new.names_account() {
        Some(named) => {
            if let Some(known) = acceptor.wallet_of_key(&call.caller, new, key).await? {
                return Ok(known);
            }
            call.take_provider_request().await?;
            Some(call.app.payees.prove(new.owner(), named).await?)
        }
        None => None,
    };
    Ok(acceptor
        .create_wallet(&call.caller, new, account.as_ref(), key)
        .await?)
}
