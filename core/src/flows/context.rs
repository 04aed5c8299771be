//! The data on which a decision may depend besides the transaction itself; all of it is locked.

use crate::ledger::LockedBalances;
use crate::money::{Currency, Money, MoneyError};
use crate::transactions::{RefKind, Requests, Transaction, left_of};

/// The data on which a decision may depend besides the transaction itself.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The locked wallets.
    pub balances: &'a LockedBalances,
    /// The earlier transaction that this one relates to, such as the one that it refunds.
    pub original: Option<&'a Transaction>,
    /// The other transactions of the family: those that relate to the same original, and those that later followed these.
    pub relatives: &'a [&'a Transaction],
    /// The transaction's money in suspense: one amount for each currency in which money came.
    pub suspended: &'a [Money],
    /// Whether a call that moves money may have been sent to Stripe for the transaction.
    pub money_sent: bool,
    /// Whether the Stripe object of the command ([`super::Command::reference`]) was booked before.
    pub booked: bool,
    /// Those kinds of references in [`super::Command::depends_on`] under which the object of the command is recorded.
    pub known_as: &'a [RefKind],
}

impl<'a> Context<'a> {
    /// Returns what is left of the original, after what was given back of it.
    pub(super) fn left(&self, original: &Transaction) -> Result<Money, MoneyError> {
        left_of(original, self.relatives.iter().copied(), Requests::Ignored)
    }

    /// Whether the object of the command is recorded under this kind of reference.
    pub(super) fn is_known_as(&self, kind: RefKind) -> bool {
        self.known_as.contains(&kind)
    }

    /// The transaction's money in suspense in this currency.
    pub(super) fn suspended_in(&self, currency: Currency) -> Money {
        let of_currency = self.suspended.iter().find(|amount| amount.currency() == currency);
        of_currency.copied().unwrap_or_else(|| Money::zero(currency))
    }

    /// The part of the original's fee that earlier refunds returned.
    pub(super) fn fee_returned(&self, original: &Transaction) -> Result<Money, MoneyError> {
        self.relatives
            .iter()
            .filter(|relative| relative.gives_back(original.id, Requests::Ignored))
            .filter_map(|relative| relative.fee)
            .try_fold(Money::zero(original.amount.currency()), Money::checked_add)
    }

    /// Whether the payer's bank has an open dispute about the original.
    pub(super) fn is_disputed(&self, original: &Transaction) -> bool {
        self.relatives.iter().any(|relative| {
            relative.related_transaction_id == Some(original.id) && relative.is_open_dispute()
        })
    }
}
