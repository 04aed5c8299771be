//! What a decision may look at beside the transaction itself: all of it locked.

use crate::chaos::{self, PlantedBug};
use crate::ledger::Books;
use crate::money::{Money, MoneyError};
use crate::transactions::Transaction;

use super::Stage;

/// What a decision may look at beside the transaction itself.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The locked wallets.
    pub books: &'a Books,
    /// The transaction that this one gives back.
    pub original: Option<&'a Transaction>,
    /// The other transactions that give back the same original, but those that came back.
    pub siblings: &'a [&'a Transaction],
    /// Whether a call that moves money may have been sent to Stripe for the transaction.
    pub money_sent: bool,
    /// Whether the Stripe object of the command ([`super::Command::reference`]) was booked before.
    pub booked: bool,
}

impl<'a> Context<'a> {
    /// What of the original is not given back yet.
    pub(super) fn left(&self, original: &Transaction) -> Result<Money, MoneyError> {
        if chaos::is_planted(PlantedBug::RefundsUnlimited) {
            return Ok(original.amount);
        }
        original.left_by(self.granted())
    }

    /// The parts of the original's fee that went back with earlier refunds.
    pub(super) fn fee_returned(&self, original: &Transaction) -> Result<Money, MoneyError> {
        self.granted()
            .filter_map(|sibling| sibling.fee)
            .try_fold(Money::zero(original.amount.currency()), Money::checked_add)
    }

    /// Whether the payer's bank has a dispute of the original open.
    pub(super) fn is_disputed(&self) -> bool {
        self.siblings.iter().any(|sibling| sibling.is_open_dispute())
    }

    /// Those whose money is held or gone; a request that was merely accepted has no claim yet.
    fn granted(&self) -> impl Iterator<Item = &'a Transaction> {
        self.siblings.iter().copied().filter(|sibling| {
            sibling.flow.gives_back()
                && !matches!(sibling.stage, Stage::Accepted | Stage::Failed | Stage::Cancelled)
        })
    }
}
