//! The port over async-stripe: the only place that names its crates.
//!
//! Requests are its typed builders, answers its typed objects, turned at once into ours. Each call is sent exactly once: the
//! library's retrying strategies make a key of their own per call, which after a crash would be another key and the money sent
//! twice. They are sent by a client of our own ([`client`]), which bounds what it reads.

mod accounts;
mod balance;
mod client;
mod convert;
mod customers;
mod disputes;
mod events;
mod failure;
mod pages;
mod payment_intents;
mod payouts;
mod refunds;
mod transfers;
mod wire;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use secrecy::SecretString;

use super::errors::GatewayError;
use super::gateway::PaymentGateway;
use super::ids::{
    AccountId, BalanceTransactionId, ChargeId, CustomerId, DisputeId, EventId, PaymentIntentId, PayoutId,
    RefundId, StripeTransferId,
};
use super::params::{
    BalanceTransactionQuery, CancelReason, CreateAccount, CreateAccountLink, CreateCustomer,
    CreatePaymentIntent, CreatePayout, CreateRefund, CreateReversal, CreateTransfer, EventQuery,
};
use super::ticket::Ticket;
use super::types::{
    Account, AccountLink, Balance, BalanceTransaction, BalanceTransactionPage, Charge, Customer, Dispute,
    EventPage, PaymentIntent, Payout, Refund, Reversal, StripeEvent, Transfer,
};
use crate::ids::TransactionId;

/// The longest a call may take. Stripe's own libraries wait 80 s; a worker's lease and a person's patience are shorter, and
/// giving up early is safe with a stored key.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// Objects on one page, the most that Stripe gives.
const PAGE: i64 = 100;

/// Pages that are read of one list. More objects than these cannot belong to one transaction's look-up.
const MOST_PAGES: usize = 50;

/// How to reach Stripe.
#[derive(Debug, Clone)]
pub struct GatewayOptions {
    /// `sk_…` or `rk_…`.
    pub secret_key: SecretString,
    /// `https://api.stripe.com`, or the simulator's base URL.
    pub api_base: String,
    /// The longest a call may take.
    pub timeout: Duration,
}

impl GatewayOptions {
    /// Options with [`CALL_TIMEOUT`].
    #[must_use]
    pub fn new(secret_key: SecretString, api_base: impl Into<String>) -> Self {
        Self {
            secret_key,
            api_base: api_base.into(),
            timeout: CALL_TIMEOUT,
        }
    }
}

/// The gateway cannot be built from its options.
#[derive(Debug, thiserror::Error)]
#[error("the stripe client cannot be configured: check STRIPE_SECRET_KEY and STRIPE_API_BASE")]
pub struct GatewayConfigError(#[source] client::InvalidOptions);

/// Stripe behind [`PaymentGateway`]; cheap to clone.
#[derive(Debug, Clone)]
pub struct AsyncStripeGateway {
    client: client::Client,
}

impl AsyncStripeGateway {
    /// A gateway; no request is sent yet.
    ///
    /// # Errors
    /// When the base URL is no URL, the key cannot be a header, or the machine has no trusted root certificates.
    pub fn new(options: &GatewayOptions) -> Result<Self, GatewayConfigError> {
        let client = client::Client::new(options).map_err(GatewayConfigError)?;
        Ok(Self { client })
    }
}

#[async_trait]
impl PaymentGateway for AsyncStripeGateway {
    async fn create_customer(
        &self,
        ticket: &Ticket,
        params: &CreateCustomer,
    ) -> Result<Customer, GatewayError> {
        customers::create(&self.client, ticket, params).await
    }

    async fn create_payment_intent(
        &self,
        ticket: &Ticket,
        params: &CreatePaymentIntent,
    ) -> Result<PaymentIntent, GatewayError> {
        payment_intents::create(&self.client, ticket, params).await
    }

    async fn retrieve_payment_intent(&self, id: &PaymentIntentId) -> Result<PaymentIntent, GatewayError> {
        payment_intents::retrieve(&self.client, id).await
    }

    async fn cancel_payment_intent(
        &self,
        id: &PaymentIntentId,
        reason: Option<CancelReason>,
    ) -> Result<PaymentIntent, GatewayError> {
        payment_intents::cancel(&self.client, id, reason).await
    }

    async fn list_payment_intents(
        &self,
        customer: &CustomerId,
        created_since: DateTime<Utc>,
    ) -> Result<Vec<PaymentIntent>, GatewayError> {
        payment_intents::list(&self.client, customer, created_since).await
    }

    async fn create_refund(&self, ticket: &Ticket, params: &CreateRefund) -> Result<Refund, GatewayError> {
        refunds::create(&self.client, ticket, params).await
    }

    async fn retrieve_refund(&self, id: &RefundId) -> Result<Refund, GatewayError> {
        refunds::retrieve(&self.client, id).await
    }

    async fn list_refunds(&self, payment: &PaymentIntentId) -> Result<Vec<Refund>, GatewayError> {
        refunds::list(&self.client, payment).await
    }

    async fn retrieve_dispute(&self, id: &DisputeId) -> Result<Dispute, GatewayError> {
        disputes::retrieve(&self.client, id).await
    }

    async fn list_disputes(&self, payment: &PaymentIntentId) -> Result<Vec<Dispute>, GatewayError> {
        disputes::list(&self.client, payment).await
    }

    async fn retrieve_charge(&self, id: &ChargeId) -> Result<Charge, GatewayError> {
        balance::charge(&self.client, id).await
    }

    async fn retrieve_balance_transaction(
        &self,
        id: &BalanceTransactionId,
    ) -> Result<BalanceTransaction, GatewayError> {
        balance::transaction(&self.client, id).await
    }

    async fn list_balance_transactions(
        &self,
        query: &BalanceTransactionQuery,
    ) -> Result<BalanceTransactionPage, GatewayError> {
        balance::list(&self.client, query).await
    }

    async fn retrieve_balance(&self, account: Option<&AccountId>) -> Result<Balance, GatewayError> {
        balance::retrieve(&self.client, account).await
    }

    async fn create_account(&self, ticket: &Ticket, params: &CreateAccount) -> Result<Account, GatewayError> {
        accounts::create(&self.client, ticket, params).await
    }

    async fn retrieve_own_account(&self) -> Result<Account, GatewayError> {
        accounts::retrieve_own(&self.client).await
    }

    async fn retrieve_account(&self, id: &AccountId) -> Result<Account, GatewayError> {
        accounts::retrieve(&self.client, id).await
    }

    async fn set_manual_payouts(&self, id: &AccountId) -> Result<Account, GatewayError> {
        accounts::set_manual_payouts(&self.client, id).await
    }

    async fn create_account_link(&self, params: &CreateAccountLink) -> Result<AccountLink, GatewayError> {
        accounts::link(&self.client, params).await
    }

    async fn create_transfer(
        &self,
        ticket: &Ticket,
        params: &CreateTransfer,
    ) -> Result<Transfer, GatewayError> {
        transfers::create(&self.client, ticket, params).await
    }

    async fn retrieve_transfer(&self, id: &StripeTransferId) -> Result<Transfer, GatewayError> {
        transfers::retrieve(&self.client, id).await
    }

    async fn list_transfers(&self, group: TransactionId) -> Result<Vec<Transfer>, GatewayError> {
        transfers::list(&self.client, group).await
    }

    async fn create_reversal(
        &self,
        ticket: &Ticket,
        params: &CreateReversal,
    ) -> Result<Reversal, GatewayError> {
        transfers::reverse(&self.client, ticket, params).await
    }

    async fn list_reversals(&self, transfer: &StripeTransferId) -> Result<Vec<Reversal>, GatewayError> {
        transfers::list_reversals(&self.client, transfer).await
    }

    async fn create_payout(&self, ticket: &Ticket, params: &CreatePayout) -> Result<Payout, GatewayError> {
        payouts::create(&self.client, ticket, params).await
    }

    async fn retrieve_payout(&self, account: &AccountId, id: &PayoutId) -> Result<Payout, GatewayError> {
        payouts::retrieve(&self.client, account, id).await
    }

    async fn list_payouts(
        &self,
        account: &AccountId,
        created_since: DateTime<Utc>,
    ) -> Result<Vec<Payout>, GatewayError> {
        payouts::list(&self.client, account, created_since).await
    }

    async fn retrieve_event(
        &self,
        account: Option<&AccountId>,
        id: &EventId,
    ) -> Result<StripeEvent, GatewayError> {
        events::retrieve(&self.client, account, id).await
    }

    async fn list_events(&self, query: &EventQuery) -> Result<EventPage, GatewayError> {
        events::list(&self.client, query).await
    }
}
