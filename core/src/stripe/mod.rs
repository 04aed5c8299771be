//! Stripe: its API in our own types, and everything that makes a call to it safe to repeat.
//!
//! [`StripeClient`] sends requests, and is the only place that names async-stripe. A worker makes a
//! creating call only through [`StripeCalls`], which commits key and parameters before the first try. [`classify`] says once
//! what each failure means, [`Breakers`] keeps a failing lane from hammering Stripe, [`Verifier`] checks webhooks and
//! [`Envelope`] reads what little of an event we trust.

mod breaker;
mod calls;
mod client;
mod errors;
mod event;
mod opening;
mod params;
mod signature;
mod status;
mod ticket;
mod types;

pub use crate::ids::stripe::{
    AccountId, BalanceTransactionId, ChargeId, CustomerId, DisputeId, EventId, ExternalAccountId,
    IdempotencyKey, InvalidStripeId, PaymentIntentId, PaymentMethodId, PayoutId, RefundId, ReversalId,
    StripeTransferId,
};
pub use breaker::{BreakerSettings, Breakers, KeyState, Lane, LaneClosed, Permit};
pub(crate) use calls::may_have_sent;
pub use calls::{
    Author, CLOCKS_DIFFER, CallError, CallOutcome, Made, Operation, StripeCall, StripeCalls, is_undecided,
    made,
};
pub use client::{CALL_TIMEOUT, ClientConfigError, ClientOptions, StripeClient, describe_metrics};
pub use errors::{Disposition, ErrorClass, FailedRequest, Failure, Scope, StripeError, classify};
pub use event::{Envelope, EventError, EventObject};
pub use opening::{Country, InvalidCountry, Opening, Terms};
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
