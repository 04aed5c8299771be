//! The port: what the wallet asks of a payment provider.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::errors::GatewayError;
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

/// Money in and out of the platform.
///
/// Each method sends one request and never repeats it; [`GatewayError::class`] tells what is known of its effect. Creating
/// methods are called through [`super::StripeCalls`] only, which owns the keys. Lists that return a `Vec` hold every match, over all
/// pages: one that is too long or could not be read to its end is an error, so an object that is absent from it is absent.
#[async_trait]
pub trait PaymentGateway: Send + Sync {
    /// Makes a customer.
    async fn create_customer(
        &self,
        ticket: &Ticket,
        params: &CreateCustomer,
    ) -> Result<Customer, GatewayError>;

    /// Makes a payment intent, and confirms it at once when a payment method is given. A decline is an error that carries the
    /// intent, which exists all the same.
    async fn create_payment_intent(
        &self,
        ticket: &Ticket,
        params: &CreatePaymentIntent,
    ) -> Result<PaymentIntent, GatewayError>;

    /// The intent as it is now.
    async fn retrieve_payment_intent(&self, id: &PaymentIntentId) -> Result<PaymentIntent, GatewayError>;

    /// Gives an intent up, so that it can never succeed. Repeating it is harmless; one that is final already is refused with
    /// `payment_intent_unexpected_state` and the intent.
    async fn cancel_payment_intent(
        &self,
        id: &PaymentIntentId,
        reason: Option<CancelReason>,
    ) -> Result<PaymentIntent, GatewayError>;

    /// A customer's intents created at `created_since` or later, newest first.
    async fn list_payment_intents(
        &self,
        customer: &CustomerId,
        created_since: DateTime<Utc>,
    ) -> Result<Vec<PaymentIntent>, GatewayError>;

    /// Sends money of a payment back to its payer. Without funds on the platform's balance the refund is made all the same and
    /// stays `pending`.
    async fn create_refund(&self, ticket: &Ticket, params: &CreateRefund) -> Result<Refund, GatewayError>;

    /// The refund as it is now.
    async fn retrieve_refund(&self, id: &RefundId) -> Result<Refund, GatewayError>;

    /// A payment's refunds, whoever made them, newest first.
    async fn list_refunds(&self, payment: &PaymentIntentId) -> Result<Vec<Refund>, GatewayError>;

    /// The dispute as it is now, with every movement of its money.
    async fn retrieve_dispute(&self, id: &DisputeId) -> Result<Dispute, GatewayError>;

    /// A payment's disputes, newest first.
    async fn list_disputes(&self, payment: &PaymentIntentId) -> Result<Vec<Dispute>, GatewayError>;

    /// A charge, with what it did to the platform's balance.
    async fn retrieve_charge(&self, id: &ChargeId) -> Result<Charge, GatewayError>;

    /// One movement of the platform's balance.
    async fn retrieve_balance_transaction(
        &self,
        id: &BalanceTransactionId,
    ) -> Result<BalanceTransaction, GatewayError>;

    /// One page of the movements of a balance, newest first; months of them can wait. Movements in currencies that we never use
    /// are left out.
    async fn list_balance_transactions(
        &self,
        query: &BalanceTransactionQuery,
    ) -> Result<BalanceTransactionPage, GatewayError>;

    /// What an account holds; none as the account means the platform.
    async fn retrieve_balance(&self, account: Option<&AccountId>) -> Result<Balance, GatewayError>;

    /// Makes a connected account that can receive transfers once its person has completed it, and pays out only when told to.
    async fn create_account(&self, ticket: &Ticket, params: &CreateAccount) -> Result<Account, GatewayError>;

    /// The platform's own account: the one that the key belongs to.
    async fn retrieve_own_account(&self) -> Result<Account, GatewayError>;

    /// A connected account as it is now; asked for by its id, Stripe also gives the platform's own.
    async fn retrieve_account(&self, id: &AccountId) -> Result<Account, GatewayError>;

    /// Keeps Stripe from paying a connected account out by itself. Repeating it is harmless.
    async fn set_manual_payouts(&self, id: &AccountId) -> Result<Account, GatewayError>;

    /// A fresh page on which its person completes a connected account. Each call makes another one; the older ones go on to work.
    async fn create_account_link(&self, params: &CreateAccountLink) -> Result<AccountLink, GatewayError>;

    /// Sends money from the platform's balance to a connected account.
    async fn create_transfer(
        &self,
        ticket: &Ticket,
        params: &CreateTransfer,
    ) -> Result<Transfer, GatewayError>;

    /// The transfer as it is now.
    async fn retrieve_transfer(&self, id: &StripeTransferId) -> Result<Transfer, GatewayError>;

    /// The transfers made for a transaction, by their `transfer_group`.
    async fn list_transfers(&self, group: TransactionId) -> Result<Vec<Transfer>, GatewayError>;

    /// Takes a transfer back, whole or in part.
    async fn create_reversal(
        &self,
        ticket: &Ticket,
        params: &CreateReversal,
    ) -> Result<Reversal, GatewayError>;

    /// What was taken back of a transfer.
    async fn list_reversals(&self, transfer: &StripeTransferId) -> Result<Vec<Reversal>, GatewayError>;

    /// Pays a connected account's balance out to its bank.
    async fn create_payout(&self, ticket: &Ticket, params: &CreatePayout) -> Result<Payout, GatewayError>;

    /// A payout of a connected account as it is now.
    async fn retrieve_payout(&self, account: &AccountId, id: &PayoutId) -> Result<Payout, GatewayError>;

    /// A connected account's payouts created at `created_since` or later, newest first.
    async fn list_payouts(
        &self,
        account: &AccountId,
        created_since: DateTime<Utc>,
    ) -> Result<Vec<Payout>, GatewayError>;

    /// One event; none as the account means the platform's own.
    async fn retrieve_event(
        &self,
        account: Option<&AccountId>,
        id: &EventId,
    ) -> Result<StripeEvent, GatewayError>;

    /// One page of events, newest first; weeks of them can wait.
    async fn list_events(&self, query: &EventQuery) -> Result<EventPage, GatewayError>;
}
