//! Stages, events and the tables of edges between them.

use crate::transactions::{TransactionStatus, TransactionType};

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
    /// A transfer's posting was made.
    Executed,
    /// It can definitely not be done: too little money, a refusal of Stripe, a declined payment.
    Refused,
    /// The payment intent exists at Stripe.
    IntentCreated,
    /// Stripe received the money that was asked for.
    PaymentSucceeded,
    /// Stripe received something else than was asked for.
    PaymentMismatched,
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
pub const DEPOSIT: &[Edge] = &[
    edge(Stage::Accepted, Event::IntentCreated, Stage::AwaitingPayment),
    edge(Stage::Accepted, Event::PaymentSucceeded, Stage::Completed),
    edge(Stage::Accepted, Event::PaymentMismatched, Stage::InReview),
    edge(Stage::Accepted, Event::IntentCanceled, Stage::Cancelled),
    edge(Stage::Accepted, Event::Refused, Stage::Failed),
    edge(Stage::AwaitingPayment, Event::PaymentSucceeded, Stage::Completed),
    edge(Stage::AwaitingPayment, Event::PaymentMismatched, Stage::InReview),
    edge(Stage::AwaitingPayment, Event::IntentCanceled, Stage::Cancelled),
    edge(Stage::AwaitingPayment, Event::Refused, Stage::Failed),
];

/// Withdrawals. A payout may be told of before our own record of it, hence the edges that leave from `Transferred`.
pub const WITHDRAWAL: &[Edge] = &[
    edge(Stage::Accepted, Event::HoldPlaced, Stage::Held),
    edge(Stage::Accepted, Event::Refused, Stage::Failed),
    edge(Stage::Held, Event::TransferCreated, Stage::Transferred),
    edge(Stage::Held, Event::Refused, Stage::Failed),
    edge(Stage::Transferred, Event::PayoutCreated, Stage::PayingOut),
    edge(Stage::Transferred, Event::PayoutPaid, Stage::Completed),
    edge(Stage::Transferred, Event::PayoutFailed, Stage::Returning),
    edge(Stage::PayingOut, Event::PayoutPaid, Stage::Completed),
    edge(Stage::PayingOut, Event::PayoutFailed, Stage::Returning),
    edge(Stage::Returning, Event::TransferReversed, Stage::Failed),
];

/// Transfers and payments: one posting, no Stripe.
pub const TRANSFER: &[Edge] = &[
    edge(Stage::Accepted, Event::Executed, Stage::Completed),
    edge(Stage::Accepted, Event::Refused, Stage::Failed),
];

/// The table of a type of transaction.
#[must_use]
pub const fn edges(transaction_type: TransactionType) -> &'static [Edge] {
    match transaction_type {
        TransactionType::Deposit => DEPOSIT,
        TransactionType::Withdrawal => WITHDRAWAL,
        TransactionType::Transfer | TransactionType::Payment | TransactionType::Refund => TRANSFER,
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TABLES: [&[Edge]; 3] = [DEPOSIT, WITHDRAWAL, TRANSFER];
    const EVENTS: [Event; 12] = [
        Event::Executed,
        Event::Refused,
        Event::IntentCreated,
        Event::PaymentSucceeded,
        Event::PaymentMismatched,
        Event::IntentCanceled,
        Event::HoldPlaced,
        Event::TransferCreated,
        Event::PayoutCreated,
        Event::PayoutPaid,
        Event::PayoutFailed,
        Event::TransferReversed,
    ];

    #[test]
    fn tables_have_no_cycle_and_no_way_out_of_a_final_stage() {
        for table in TABLES {
            for edge in table {
                assert!(!edge.from.status().is_final(), "{edge:?}");
                assert!(!leads_to(table, edge.to, edge.from), "{edge:?} closes a cycle");
            }
        }
    }

    #[test]
    fn every_stage_of_a_table_can_be_reached_and_can_end() {
        for table in TABLES {
            for edge in table {
                assert!(leads_to(table, Stage::Accepted, edge.to), "{edge:?}");
                // What is in review waits for a person: its ways out come with the command that decides it.
                let ends = |stage: &&Stage| {
                    (stage.status().is_final() || **stage == Stage::InReview)
                        && leads_to(table, edge.to, **stage)
                };
                assert!(Stage::ALL.iter().any(|stage| ends(&stage)), "{edge:?}");
            }
        }
    }

    #[test]
    fn an_event_told_twice_changes_nothing_the_second_time() {
        for table in TABLES {
            for edge in table {
                assert_eq!(next(table, edge.to, edge.event), Next::Already, "{edge:?}");
            }
        }
    }

    #[test]
    fn success_after_failure_is_a_contradiction() {
        assert_eq!(
            next(DEPOSIT, Stage::Failed, Event::PaymentSucceeded),
            Next::Contradiction
        );
        assert_eq!(
            next(WITHDRAWAL, Stage::Completed, Event::PayoutFailed),
            Next::Contradiction
        );
        assert_eq!(
            next(WITHDRAWAL, Stage::Returning, Event::PayoutPaid),
            Next::Contradiction
        );
    }

    proptest! {
        #[test]
        fn whatever_is_told_in_whatever_order_final_stages_stay(
            table in 0..TABLES.len(), told in proptest::collection::vec(0..EVENTS.len(), 0..40)
        ) {
            let mut stage = Stage::Accepted;
            for event in told {
                let before = stage;
                if let Next::To(to) = next(TABLES[table], stage, EVENTS[event]) {
                    stage = to;
                }
                prop_assert!(!before.status().is_final() || before == stage);
            }
        }
    }

    #[test]
    fn names_lead_back_to_their_stage() {
        for stage in Stage::ALL {
            assert_eq!(Stage::from_name(stage.as_str()), Some(*stage));
        }
    }
}
