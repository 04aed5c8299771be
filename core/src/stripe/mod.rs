//! Stripe: its API in our own types, and everything that makes calls to it safe to repeat.
//!
//! [`StripeClient`] sends requests and is the only place that names async-stripe. A worker makes creating calls only through
//! [`StripeCalls`], which commits the key and the parameters before the first try. [`classify`] is the one place that decides what each
//! failure means, [`Breakers`] keep a failing lane from flooding Stripe with calls, [`Verifier`] checks the signatures of webhooks, and
//! [`Envelope`] reads the few fields of an event that we use.

mod account_terms;
mod breaker;
mod calls;
mod client;
mod errors;
mod event;
mod params;
mod signature;
mod status;
mod ticket;
mod types;

pub use crate::ids::stripe::{
    AccountId, BalanceTransactionId, CallKey, ChargeId, CustomerId, DisputeId, EventId, ExternalAccountId,
    InvalidStripeId, PaymentIntentId, PaymentMethodId, PayoutId, RefundId, ReversalId, StripeTransferId,
};
pub use account_terms::{Country, InvalidCountry, Opening, Terms};
pub use breaker::{BreakerSettings, Breakers, KeyState, Lane, LaneClosed, Permit};
pub(crate) use calls::may_have_sent;
pub use calls::{
    Author, CLOCKS_DIFFER, CallError, CallOutcome, Made, Operation, StripeCall, StripeCalls, is_undecided,
    made,
};
pub use client::{CALL_TIMEOUT, ClientConfigError, ClientOptions, StripeClient, describe_metrics};
pub use errors::{Disposition, ErrorClass, FailedRequest, Failure, Scope, StripeError, classify};
pub use event::{Envelope, EventError, EventObject};
pub use params::{
    BalanceTransactionQuery, CancelReason, CreateAccount, CreateAccountLink, CreateCustomer,
    CreatePaymentIntent, CreatePayout, CreateRefund, CreateReversal, CreateTransfer, EventCursor, EventQuery,
    MethodChoice, Tags,
};
pub use signature::{
    InvalidWebhookSecret, SIGNATURE_HEADER, SignatureError, Verified, Verifier, WebhookSecret,
};
pub use status::{
    CancellationReason, DisputeStatus, PaymentIntentStatus, PayoutStatus, RefundStatus, ReversalStatus,
};
pub use ticket::Ticket;
pub use types::{
    Account, AccountLink, Balance, BalanceTransaction, BalanceTransactionPage, Charge, ClientSecret,
    Customer, Decline, Dispute, EventPage, Metadata, NextAction, PaymentIntent, Payout, Refund, Reversal,
    StripeEvent, StripeObject, Transfer,
};
