//! The way to Stripe: every request is counted by its operation and by what is known of it, timed, and repeated when no answer comes.

use std::time::Instant;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use wallet_core::db::Db;
use wallet_core::ids::TransactionId;
use wallet_core::money_out;
use wallet_core::stripe::{
    Account, AccountId, AccountLink, Balance, BalanceTransaction, BalanceTransactionId,
    BalanceTransactionPage, BalanceTransactionQuery, CancelReason, Charge, ChargeId, CreateAccount,
    CreateAccountLink, CreateCustomer, CreatePaymentIntent, CreatePayout, CreateRefund, CreateReversal,
    CreateTransfer, Customer, CustomerId, Dispute, DisputeId, EventId, EventPage, EventQuery, GatewayError,
    PaymentGateway, PaymentIntent, PaymentIntentId, Payout, PayoutId, Refund, RefundId, Reversal,
    StripeEvent, StripeTransferId, Ticket, Transfer,
};

use crate::hedge::Hedge;
use crate::metrics::{STRIPE_CALLS, STRIPE_SECONDS};

/// A gateway that is measured, and asks again what has no answer.
pub(crate) struct Measured<G> {
    gateway: G,
    hedge: Hedge,
    db: Db,
}

impl<G> Measured<G> {
    /// Measures `gateway`.
    pub(crate) fn new(gateway: G, db: Db) -> Self {
        let hedge = Hedge::default();
        Self { gateway, hedge, db }
    }

    /// Whether a call may be sent a second time: not while money-out is stopped, since the first request may have been lost.
    async fn may_repeat(&self) -> bool {
        money_out::state(&self.db).await.is_ok_and(|state| state.is_open)
    }
}

macro_rules! measured {
    (
        again { $($again:ident($($again_argument:ident: $again_type:ty),*) -> $again_answer:ty;)+ }
        once { $($once:ident($($argument:ident: $type:ty),*) -> $answer:ty;)+ }
    ) => {
        #[async_trait]
        impl<G: PaymentGateway> PaymentGateway for Measured<G> {
            $(async fn $again(&self, $($again_argument: $again_type),*) -> Result<$again_answer, GatewayError> {
                self.hedge
                    .call(self.may_repeat(), || measure(stringify!($again), self.gateway.$again($($again_argument),*)))
                    .await
            })+
            $(async fn $once(&self, $($argument: $type),*) -> Result<$answer, GatewayError> {
                measure(stringify!($once), self.gateway.$once($($argument),*)).await
            })+
        }
    };
}

// Again: one request each that can be repeated. Once: many pages, which take their time, and a link without a key.
measured! {
    again {
        create_customer(ticket: &Ticket, params: &CreateCustomer) -> Customer;
        create_payment_intent(ticket: &Ticket, params: &CreatePaymentIntent) -> PaymentIntent;
        retrieve_payment_intent(id: &PaymentIntentId) -> PaymentIntent;
        cancel_payment_intent(id: &PaymentIntentId, reason: Option<CancelReason>) -> PaymentIntent;
        create_refund(ticket: &Ticket, params: &CreateRefund) -> Refund;
        retrieve_refund(id: &RefundId) -> Refund;
        retrieve_dispute(id: &DisputeId) -> Dispute;
        retrieve_charge(id: &ChargeId) -> Charge;
        retrieve_balance_transaction(id: &BalanceTransactionId) -> BalanceTransaction;
        retrieve_balance(account: Option<&AccountId>) -> Balance;
        create_account(ticket: &Ticket, params: &CreateAccount) -> Account;
        retrieve_own_account() -> Account;
        retrieve_account(id: &AccountId) -> Account;
        set_manual_payouts(id: &AccountId) -> Account;
        create_transfer(ticket: &Ticket, params: &CreateTransfer) -> Transfer;
        retrieve_transfer(id: &StripeTransferId) -> Transfer;
        create_reversal(ticket: &Ticket, params: &CreateReversal) -> Reversal;
        create_payout(ticket: &Ticket, params: &CreatePayout) -> Payout;
        retrieve_payout(account: &AccountId, id: &PayoutId) -> Payout;
        retrieve_event(account: Option<&AccountId>, id: &EventId) -> StripeEvent;
    }
    once {
        list_payment_intents(customer: &CustomerId, created_since: DateTime<Utc>) -> Vec<PaymentIntent>;
        list_refunds(payment: &PaymentIntentId) -> Vec<Refund>;
        list_disputes(payment: &PaymentIntentId) -> Vec<Dispute>;
        list_balance_transactions(query: &BalanceTransactionQuery) -> BalanceTransactionPage;
        create_account_link(params: &CreateAccountLink) -> AccountLink;
        list_transfers(group: TransactionId) -> Vec<Transfer>;
        list_reversals(transfer: &StripeTransferId) -> Vec<Reversal>;
        list_payouts(account: &AccountId, created_since: DateTime<Utc>) -> Vec<Payout>;
        list_events(query: &EventQuery) -> EventPage;
    }
}

async fn measure<T>(
    operation: &'static str,
    call: impl Future<Output = Result<T, GatewayError>>,
) -> Result<T, GatewayError> {
    let started = Instant::now();
    let answer = call.await.map_err(|error| error.of(operation));
    let class = answer
        .as_ref()
        .err()
        .map_or_else(|| "ok".to_owned(), |error| error.class.to_string());
    metrics::counter!(STRIPE_CALLS, "operation" => operation, "class" => class).increment(1);
    metrics::histogram!(STRIPE_SECONDS, "operation" => operation).record(started.elapsed());
    answer
}
