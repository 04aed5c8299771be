//! Why something that is told or asked cannot be.

use super::Event;
use crate::ids::WalletId;
use crate::ids::stripe::BalanceTransactionId;
use crate::ledger::PostingError;
use crate::money::{Money, MoneyError};
use crate::transactions::Stage;

/// Why a command cannot follow what has happened to its transaction: nothing is written, and somebody has to look.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// The command, here by its event, is another flow's than the one that the transaction's row names.
    #[error("the flow does not know {0:?}")]
    WrongFlow(Option<Event>),
    /// No edge of the event leads on from the stage, nor has one led there.
    #[error("{event:?} cannot follow {}", .stage.as_str())]
    CannotFollow {
        /// What is said to have happened.
        event: Event,
        /// Where the transaction is.
        stage: Stage,
    },
    /// What is told has happened before, by another object of Stripe.
    #[error("{told} cannot follow {}: {} is recorded", .stage.as_str(), .recorded.as_deref().unwrap_or("nothing"))]
    ByAnother {
        /// The object that is told of.
        told: String,
        /// Where the transaction is.
        stage: Stage,
        /// The object that brought it there, if one is recorded.
        recorded: Option<String>,
    },
    /// Another object of Stripe than the recorded one.
    #[error("{what} {told} is not the recorded {recorded}")]
    AnotherObject {
        /// What kind of object.
        what: &'static str,
        /// The one that is told of.
        told: String,
        /// The recorded one.
        recorded: String,
    },
    /// The movement of the platform's balance moved so much, and the transaction was opened for one of another amount.
    #[error("{0} moved {1}, not {2}")]
    AnotherMovement(BalanceTransactionId, Money, Money),
    /// The movement of a dispute moved so much of a deposit that is credited: that is a transaction of its own.
    #[error("{0} moved {1} of a deposit that is credited")]
    Credited(BalanceTransactionId, Money),
    /// So much lies in suspense, and something was decided about another amount.
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
    /// The amounts cannot be reckoned with.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// The ledger does not take what was decided.
    #[error(transparent)]
    Posting(#[from] PostingError),
}
