//! Stages, events and the tables of edges between them.

use super::Flow;
use crate::transactions::TransactionStatus;

macro_rules! stages {
    ($($(#[$doc:meta])* $name:ident = $text:literal is $status:ident,)+) => {
        /// Where exactly a transaction is; the status is what this means to a client.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Stage {
            $($(#[$doc])* $name,)+
        }

        impl Stage {
            /// Every stage.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its name in SQL.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// The status it means.
            #[must_use]
            pub const fn status(self) -> TransactionStatus {
                match self {
                    $(Self::$name => TransactionStatus::$status,)+
                }
            }

            /// The stage of a name read from SQL.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|stage| stage.as_str() == name)
            }
        }
    };
}

stages! {
    /// Stored, nothing has happened yet.
    Accepted = "accepted" is Pending,
    /// Deposit: the payment intent exists, Stripe has not told of the money.
    AwaitingPayment = "awaiting_payment" is Processing,
    /// Deposit: what was received is not what was asked for; it lies in suspense and a person decides.
    InReview = "in_review" is Processing,
    /// Withdrawal: the amount is frozen.
    Held = "held" is Processing,
    /// Withdrawal: the amount is on the connected account.
    Transferred = "transferred" is Processing,
    /// Withdrawal: the payout to the bank is under way.
    PayingOut = "paying_out" is Processing,
    /// Withdrawal: the payout failed, the transfer is being taken back.
    Returning = "returning" is Processing,
    /// Refund of a deposit: the refund exists at Stripe and is not final.
    Refunding = "refunding" is Processing,
    /// Dispute: what is in dispute is frozen or owed until the bank decides.
    Disputed = "disputed" is Processing,
    /// Done.
    Completed = "completed" is Completed,
    /// Ended without effect.
    Failed = "failed" is Failed,
    /// Taken back.
    Cancelled = "cancelled" is Cancelled,
}

/// What can happen to a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// The posting of a transfer, a payment or a return was made.
    Executed,
    /// Its owner took it back before anything irreversible had happened.
    Cancelled,
    /// It can definitely not be done: too little money, a refusal of Stripe, a declined payment.
    Refused,
    /// The payment intent exists at Stripe.
    IntentCreated,
    /// Stripe received the money that was asked for.
    PaymentSucceeded,
    /// Stripe received something else than was asked for.
    PaymentMismatched,
    /// An operator credited what was received instead.
    ReviewCredited,
    /// What was received instead was refunded to the payer at Stripe.
    ReviewReturned,
    /// The payment intent was cancelled at Stripe.
    IntentCanceled,
    /// The amount was frozen.
    HoldPlaced,
    /// The transfer to the connected account was made.
    TransferCreated,
    /// The payout to the bank was started.
    PayoutCreated,
    /// The bank has the money.
    PayoutPaid,
    /// The payout was refused, failed or was cancelled.
    PayoutFailed,
    /// The transfer was taken back.
    TransferReversed,
    /// The refund exists at Stripe.
    RefundCreated,
    /// The payer has the money.
    RefundSucceeded,
    /// The refund failed or was cancelled.
    RefundFailed,
    /// The payer's bank disputes the payment.
    DisputeOpened,
    /// The dispute ended in the payee's favour, or the inquiry was closed.
    DisputeWon,
    /// The dispute ended in the payer's favour.
    DisputeLost,
}

impl Event {
    /// Every event.
    pub const ALL: &'static [Self] = &[
        Self::Executed,
        Self::Cancelled,
        Self::Refused,
        Self::IntentCreated,
        Self::PaymentSucceeded,
        Self::PaymentMismatched,
        Self::ReviewCredited,
        Self::ReviewReturned,
        Self::IntentCanceled,
        Self::HoldPlaced,
        Self::TransferCreated,
        Self::PayoutCreated,
        Self::PayoutPaid,
        Self::PayoutFailed,
        Self::TransferReversed,
        Self::RefundCreated,
        Self::RefundSucceeded,
        Self::RefundFailed,
        Self::DisputeOpened,
        Self::DisputeWon,
        Self::DisputeLost,
    ];
}

/// One allowed step: at `from`, `event` leads to `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// The stage before.
    pub from: Stage,
    /// What happens.
    pub event: Event,
    /// The stage after.
    pub to: Stage,
}

const fn edge(from: Stage, event: Event, to: Stage) -> Edge {
    Edge { from, event, to }
}

/// Deposits. An event of Stripe may come before our own record of the intent, hence the edges that leave from `Accepted`.
const DEPOSIT: &[Edge] = &[
    edge(Stage::Accepted, Event::IntentCreated, Stage::AwaitingPayment),
    edge(Stage::Accepted, Event::PaymentSucceeded, Stage::Completed),
    edge(Stage::Accepted, Event::PaymentMismatched, Stage::InReview),
    edge(Stage::Accepted, Event::IntentCanceled, Stage::Cancelled),
    edge(Stage::Accepted, Event::Cancelled, Stage::Cancelled),
    edge(Stage::Accepted, Event::Refused, Stage::Failed),
    edge(Stage::AwaitingPayment, Event::PaymentSucceeded, Stage::Completed),
    edge(Stage::AwaitingPayment, Event::PaymentMismatched, Stage::InReview),
    edge(Stage::AwaitingPayment, Event::IntentCanceled, Stage::Cancelled),
    edge(Stage::AwaitingPayment, Event::Refused, Stage::Failed),
    edge(Stage::InReview, Event::ReviewCredited, Stage::Completed),
    edge(Stage::InReview, Event::ReviewReturned, Stage::Failed),
];

/// Withdrawals. A payout may be told of before our own record of it, hence the edges that leave from `Transferred`.
const WITHDRAWAL: &[Edge] = &[
    edge(Stage::Accepted, Event::HoldPlaced, Stage::Held),
    edge(Stage::Accepted, Event::Refused, Stage::Failed),
    edge(Stage::Accepted, Event::Cancelled, Stage::Cancelled),
    edge(Stage::Held, Event::TransferCreated, Stage::Transferred),
    edge(Stage::Held, Event::Refused, Stage::Failed),
    edge(Stage::Held, Event::Cancelled, Stage::Cancelled),
    edge(Stage::Transferred, Event::PayoutCreated, Stage::PayingOut),
    edge(Stage::Transferred, Event::PayoutPaid, Stage::Completed),
    edge(Stage::Transferred, Event::PayoutFailed, Stage::Returning),
    edge(Stage::PayingOut, Event::PayoutPaid, Stage::Completed),
    edge(Stage::PayingOut, Event::PayoutFailed, Stage::Returning),
    edge(Stage::Returning, Event::TransferReversed, Stage::Failed),
];

/// Transfers, payments and refunds of payments: one posting, no Stripe.
const TRANSFER: &[Edge] = &[
    edge(Stage::Accepted, Event::Executed, Stage::Completed),
    edge(Stage::Accepted, Event::Refused, Stage::Failed),
    edge(Stage::Accepted, Event::Cancelled, Stage::Cancelled),
];

/// Refunds of a deposit, asked for by the wallet's owner. Stripe may tell of the end before our own record of the refund.
const DEPOSIT_REFUND: &[Edge] = &[
    edge(Stage::Accepted, Event::HoldPlaced, Stage::Held),
    edge(Stage::Accepted, Event::Refused, Stage::Failed),
    edge(Stage::Accepted, Event::Cancelled, Stage::Cancelled),
    edge(Stage::Held, Event::RefundCreated, Stage::Refunding),
    edge(Stage::Held, Event::RefundSucceeded, Stage::Completed),
    edge(Stage::Held, Event::RefundFailed, Stage::Failed),
    edge(Stage::Held, Event::Refused, Stage::Failed),
    edge(Stage::Held, Event::Cancelled, Stage::Cancelled),
    edge(Stage::Refunding, Event::RefundSucceeded, Stage::Completed),
    edge(Stage::Refunding, Event::RefundFailed, Stage::Failed),
];

/// Refunds made at Stripe by somebody else than this system: found, not asked for, so nothing can refuse them.
const OUTSIDE_REFUND: &[Edge] = &[
    edge(Stage::Accepted, Event::RefundCreated, Stage::Refunding),
    edge(Stage::Accepted, Event::RefundSucceeded, Stage::Completed),
    edge(Stage::Accepted, Event::RefundFailed, Stage::Failed),
    edge(Stage::Refunding, Event::RefundSucceeded, Stage::Completed),
    edge(Stage::Refunding, Event::RefundFailed, Stage::Failed),
];

/// A refund that failed after it had succeeded: the money is the wallet's again.
const REFUND_RETURN: &[Edge] = &[edge(Stage::Accepted, Event::Executed, Stage::Completed)];

/// A payout that failed after it had been paid: the transfer behind it is taken back.
const PAYOUT_RETURN: &[Edge] = &[
    edge(Stage::Accepted, Event::PayoutFailed, Stage::Returning),
    edge(Stage::Returning, Event::TransferReversed, Stage::Completed),
];

/// Disputes. An inquiry stays `Accepted`: nothing is withdrawn, so nothing is frozen.
const DISPUTE: &[Edge] = &[
    edge(Stage::Accepted, Event::DisputeOpened, Stage::Disputed),
    edge(Stage::Accepted, Event::DisputeWon, Stage::Cancelled),
    edge(Stage::Accepted, Event::DisputeLost, Stage::Completed),
    edge(Stage::Disputed, Event::DisputeWon, Stage::Cancelled),
    edge(Stage::Disputed, Event::DisputeLost, Stage::Completed),
];

/// The table of a flow.
#[must_use]
pub const fn edges(flow: Flow) -> &'static [Edge] {
    match flow {
        Flow::Deposit => DEPOSIT,
        Flow::Withdrawal => WITHDRAWAL,
        Flow::Transfer | Flow::Payment | Flow::PaymentRefund => TRANSFER,
        Flow::DepositRefund => DEPOSIT_REFUND,
        Flow::OutsideRefund => OUTSIDE_REFUND,
        Flow::RefundReturn => REFUND_RETURN,
        Flow::PayoutReturn => PAYOUT_RETURN,
        Flow::Dispute => DISPUTE,
    }
}

/// What an event means at a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The edge to take.
    To(Stage),
    /// The event has happened before: nothing to do.
    Already,
    /// The event cannot follow: somebody has to look.
    Contradiction,
}

/// What `event` means at `stage`: the edge of the table; or nothing, if the stage is one that follows from the event; or a contradiction.
#[must_use]
pub fn next(table: &[Edge], stage: Stage, event: Event) -> Next {
    if let Some(edge) = table
        .iter()
        .find(|edge| edge.from == stage && edge.event == event)
    {
        return Next::To(edge.to);
    }
    let happened = table
        .iter()
        .any(|edge| edge.event == event && leads_to(table, edge.to, stage));
    if happened {
        Next::Already
    } else {
        Next::Contradiction
    }
}

fn leads_to(table: &[Edge], from: Stage, to: Stage) -> bool {
    // The tables have no cycles (tested), so this ends.
    from == to
        || table
            .iter()
            .any(|edge| edge.from == from && leads_to(table, edge.to, to))
}

#[cfg(test)]
mod tests;
