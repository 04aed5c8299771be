//! What a decision may look at beside the transaction itself: all of it locked.

use crate::ledger::Books;
use crate::money::{Currency, Money, MoneyError};
use crate::transactions::{RefKind, Requests, Transaction, left_of};

/// What a decision may look at beside the transaction itself.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The locked wallets.
    pub books: &'a Books,
    /// The transaction that this one gives back.
    pub original: Option<&'a Transaction>,
    /// The other transactions of the family: what else gives back the same original, and what became later of that.
    pub relatives: &'a [&'a Transaction],
    /// What of the transaction lies in suspense: an amount for each currency in which something came.
    pub suspended: &'a [Money],
    /// Whether a call that moves money may have been sent to Stripe for the transaction.
    pub money_sent: bool,
    /// Whether the Stripe object of the command ([`super::Command::reference`]) was booked before.
    pub booked: bool,
    /// Of the kinds of references that the command depends on ([`super::Command::depends_on`]), those under which its object is known.
    pub known_as: &'a [RefKind],
}

impl<'a> Context<'a> {
    /// What of the original is not given back yet.
    pub(super) fn left(&self, original: &Transaction) -> Result<Money, MoneyError> {
        left_of(original, self.relatives.iter().copied(), Requests::Ignored)
    }

    /// Whether the object of the command is known by a reference of this kind.
    pub(super) fn is_known_as(&self, kind: RefKind) -> bool {
        self.known_as.contains(&kind)
    }

    /// What lies in suspense in this currency.
    pub(super) fn suspended_in(&self, currency: Currency) -> Money {
        let of_currency = self.suspended.iter().find(|amount| amount.currency() == currency);
        of_currency.copied().unwrap_or_else(|| Money::zero(currency))
    }

    /// The parts of the original's fee that went back with earlier refunds.
    pub(super) fn fee_returned(&self, original: &Transaction) -> Result<Money, MoneyError> {
        self.relatives
            .iter()
            .filter(|relative| relative.gives_back(original.id, Requests::Ignored))
            .filter_map(|relative| relative.fee)
            .try_fold(Money::zero(original.amount.currency()), Money::checked_add)
    }

    /// Whether the payer's bank has a dispute of the original open.
    pub(super) fn is_disputed(&self, original: &Transaction) -> bool {
        self.relatives.iter().any(|relative| {
            relative.related_transaction_id == Some(original.id) && relative.is_open_dispute()
        })
    }
}
