//! Pending work, as the state stores it: work that happens by itself, moves that a test ordered, and webhooks.

use serde::{Deserialize, Serialize};

use crate::objects::{
    BalanceTransaction, Charge, Dispute, DisputeStatus, Event, Id, PaymentIntent, Payout, PayoutStatus,
    Refund, RefundStatus,
};

/// Work that happens by itself once it is due.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Timer {
    /// A bank debit ends.
    SettleIntent(Id<PaymentIntent>),
    /// Pending money becomes available.
    Mature(Id<BalanceTransaction>),
    /// A payout takes its next step.
    AdvancePayout(Id<Payout>),
    /// A pending refund succeeds.
    CompleteRefund(Id<Refund>),
    /// A succeeded refund fails.
    FailRefund(Id<Refund>),
    /// Refunds that wait for money are tried again.
    RetryRefunds,
    /// A move that a test ordered for later.
    Ordered(Move),
    /// A webhook is sent.
    Deliver(Delivery),
}

/// An action of a bank, a payer or Stripe's staff.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Move {
    /// A payout takes a step, failing with this code.
    Payout(Id<Payout>, PayoutStatus, Option<String>),
    /// A refund takes a step, failing for this reason.
    Refund(Id<Refund>, RefundStatus, Option<String>),
    /// A dispute is opened.
    OpenDispute(NewDispute),
    /// A dispute takes a step.
    Dispute(Id<Dispute>, DisputeStatus, DisputedFunds),
}

/// A dispute to be opened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NewDispute {
    pub(crate) charge: Id<Charge>,
    /// In minor units; the charge's amount when absent. May be more than the charge, as at Stripe.
    pub(crate) amount: Option<i64>,
    pub(crate) reason: String,
    /// `warning_…` for an inquiry, which moves no money.
    pub(crate) status: DisputeStatus,
    pub(crate) funds: DisputedFunds,
}

/// The effect of a dispute's step on the balance. Stripe reports both separately: `charge.dispute.closed` and
/// `charge.dispute.funds_withdrawn`, `funds_reinstated` (<https://docs.stripe.com/api/events/types#event_types-charge.dispute.closed>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum DisputedFunds {
    /// The money movement that usually goes with the status.
    #[default]
    Move,
    /// No movement, now or ever: for example, a payment that was already refunded is not withdrawn again.
    Stay,
}

/// One sending of one event's webhook.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Delivery {
    pub(crate) event: Id<Event>,
    /// The number of the attempt, from 0.
    pub(crate) attempt: u32,
    /// Whether it is sent again when it fails; extra copies are not.
    pub(crate) retried: bool,
    pub(crate) bad_signature: bool,
}

/// The result of one sending.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) event: String,
    pub(crate) kind: String,
    pub(crate) attempt: u32,
    pub(crate) time: String,
    /// The endpoint's status; absent when it did not respond.
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<String>,
    pub(crate) millis: u64,
}
