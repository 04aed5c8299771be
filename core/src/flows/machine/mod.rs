//! Stages, events and the tables of edges between them.

mod event;

pub use event::Event;

use crate::transactions::{Flow, Stage};

/// One allowed step: at `from`, `event` leads to `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// The stage before.
    pub from: Stage,
    /// The event.
    pub event: Event,
    /// The stage after.
    pub to: Stage,
}

const fn edge(from: Stage, event: Event, to: Stage) -> Edge {
    Edge { from, event, to }
}

/// Deposits. An event from Stripe may arrive before our own record of the intent, hence the edges that leave `Accepted`.
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

/// Withdrawals. A payout may be reported before our own record of it, hence the edges that leave `Transferred`.
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

/// Refunds of a deposit that were requested here. Stripe may report the end before our own record of the refund.
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

/// Refunds made at Stripe by somebody other than this system: they are found, not requested, so nothing can refuse them.
const OUTSIDE_REFUND: &[Edge] = &[
    edge(Stage::Accepted, Event::RefundCreated, Stage::Refunding),
    edge(Stage::Accepted, Event::RefundSucceeded, Stage::Completed),
    edge(Stage::Accepted, Event::RefundFailed, Stage::Failed),
    edge(Stage::Refunding, Event::RefundSucceeded, Stage::Completed),
    edge(Stage::Refunding, Event::RefundFailed, Stage::Failed),
];

/// A refund that failed after it had succeeded: the money is the wallet's again.
const REFUND_RETURN: &[Edge] = &[edge(Stage::Accepted, Event::Executed, Stage::Completed)];

/// A payout that failed after it had been paid: the transfer behind it is reversed.
const PAYOUT_RETURN: &[Edge] = &[
    edge(Stage::Accepted, Event::PayoutFailed, Stage::Returning),
    edge(Stage::Returning, Event::TransferReversed, Stage::Completed),
];

/// What a dispute moved after its end: the movement has already been made, so it is only booked.
const DISPUTE_TURN: &[Edge] = &[edge(Stage::Accepted, Event::Executed, Stage::Completed)];

/// What is collected for a debt: opened and completed by the settlement that makes the money spendable.
const DEBT_PAYMENT: &[Edge] = &[edge(Stage::Accepted, Event::Executed, Stage::Completed)];

/// Disputes. An inquiry stays `Accepted`: nothing is withdrawn, so nothing is held.
const DISPUTE: &[Edge] = &[
    edge(Stage::Accepted, Event::DisputeOpened, Stage::Disputed),
    edge(Stage::Accepted, Event::DisputeWon, Stage::Cancelled),
    edge(Stage::Accepted, Event::DisputeLost, Stage::Completed),
    edge(Stage::Disputed, Event::DisputeWon, Stage::Cancelled),
    edge(Stage::Disputed, Event::DisputeLost, Stage::Completed),
];

/// Returns the table of a flow.
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
        Flow::DisputeReturn | Flow::DisputeLoss => DISPUTE_TURN,
        Flow::DebtPayment => DEBT_PAYMENT,
    }
}

/// The meaning of an event at a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The edge to take.
    To(Stage),
    /// The event has happened before: nothing to do.
    Already,
    /// The event cannot follow: an operator must decide.
    Contradiction,
}

/// Returns what `event` means at `stage`: the edge of the table; [`Next::Already`], if the stage follows from the event; or a contradiction.
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
