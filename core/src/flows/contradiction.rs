//! The reasons why a command is impossible.

use super::Event;
use crate::ids::WalletId;
use crate::ids::stripe::BalanceTransactionId;
use crate::ledger::PostingError;
use crate::money::{Money, MoneyError};
use crate::transactions::Stage;

/// Why a command cannot follow what has happened to its transaction: nothing is written, and an operator must decide.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// The command, shown by its event, belongs to another flow than the one that the transaction's row names.
    #[error("the flow does not know {0:?}")]
    WrongFlow(Option<Event>),
    /// The event has no edge from the stage, and the stage does not follow from the event.
    #[error("{event:?} cannot follow {}", .stage.as_str())]
    CannotFollow {
        /// The reported event.
        event: Event,
        /// The transaction's stage.
        stage: Stage,
    },
    /// The event has happened before, but by another Stripe object.
    #[error("{told} cannot follow {}: {} is recorded", .stage.as_str(), .recorded.as_deref().unwrap_or("nothing"))]
    ByAnother {
        /// The reported object.
        told: String,
        /// The transaction's stage.
        stage: Stage,
        /// The object recorded for the event, if there is one.
        recorded: Option<String>,
    },
    /// The reported object is not the recorded one.
    #[error("{what} {told} is not the recorded {recorded}")]
    AnotherObject {
        /// The kind of object.
        what: &'static str,
        /// The reported object.
        told: String,
        /// The recorded object.
        recorded: String,
    },
    /// The movement of the platform's balance has this amount, but the transaction was opened for one with another amount.
    #[error("{0} moved {1}, not {2}")]
    AnotherMovement(BalanceTransactionId, Money, Money),
    /// A movement of a dispute has this amount, but its deposit is credited: it needs a transaction of its own.
    #[error("{0} moved {1} of a deposit that is credited")]
    Credited(BalanceTransactionId, Money),
    /// This amount lies in suspense, but the decision was about another amount.
    #[error("{0} lies in suspense, not {1}")]
    AnotherAmount(Money, Money),
    /// The row of a transfer or a payment names no other wallet.
    #[error("a transfer without a counterparty")]
    NoCounterparty,
    /// The row of a refund names no payment, or no payer.
    #[error("a refund without its payment")]
    NoPayment,
    /// The row of a refund names no deposit.
    #[error("a refund without its deposit")]
    NoDeposit,
    /// The wallet was not locked.
    #[error("wallet {0} is not locked")]
    NotLocked(WalletId),
    /// The amounts cannot be computed.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// The ledger refuses what was decided.
    #[error(transparent)]
    Posting(#[from] PostingError),
}
