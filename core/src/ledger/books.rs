//! The balances of locked wallets in memory, changed leg by leg before they are written.

use std::collections::HashMap;

use super::{Account, Leg};
use crate::ids::{UserId, WalletId};
use crate::money::{Currency, Money, MoneyError};

/// A locked wallet.
#[derive(Debug, Clone, Copy)]
pub struct Balance {
    /// Its owner.
    pub user_id: UserId,
    /// Whether it may send and receive.
    pub is_active: bool,
    /// Spendable.
    pub available: Money,
    /// Held.
    pub frozen: Money,
    /// What its owner owes the platform; caught from whatever becomes spendable.
    pub owed: Money,
}

impl Balance {
    /// The wallet's currency.
    #[must_use]
    pub const fn currency(&self) -> Currency {
        self.available.currency()
    }
}

/// Why legs cannot be booked. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PostingError {
    /// A balance would fall below zero.
    #[error("wallet {0} lacks funds")]
    InsufficientFunds(WalletId),
    /// A leg is in another currency than its wallet, or a balance would leave its range.
    #[error("wallet {wallet} cannot take the amount")]
    Money {
        /// The wallet.
        wallet: WalletId,
        /// What is wrong with it.
        #[source]
        source: MoneyError,
    },
    /// The wallet was not locked.
    #[error("wallet {0} is not locked by this transaction")]
    NotLocked(WalletId),
    /// The legs do not sum to zero for each currency.
    #[error("the legs of a posting do not sum to zero")]
    Unbalanced,
}

/// The locked wallets of one database transaction.
#[derive(Debug, Default)]
pub struct Books {
    wallets: HashMap<WalletId, Balance>,
    changed: Vec<WalletId>,
}

impl Books {
    /// Books of these locked wallets.
    #[must_use]
    pub fn new(wallets: HashMap<WalletId, Balance>) -> Self {
        Self {
            wallets,
            changed: Vec::new(),
        }
    }

    /// A locked wallet as it stands now.
    #[must_use]
    pub fn wallet(&self, id: WalletId) -> Option<&Balance> {
        self.wallets.get(&id)
    }

    /// Books all legs of one posting, or none of them, and gives back what was booked: when money becomes spendable in a wallet whose
    /// owner owes the platform, the debt is paid from it first, by two legs more. `owes` changes a debt before that.
    ///
    /// # Errors
    /// When a balance would become negative or leave its range, a currency does not fit, a wallet is not locked, or the legs do
    /// not sum to zero.
    pub fn book(&mut self, legs: &[Leg], owes: Option<(WalletId, Money)>) -> Result<Vec<Leg>, PostingError> {
        check_sums(legs)?;
        let mut after: HashMap<WalletId, Balance> = HashMap::new();
        if let Some((id, debt)) = owes {
            let mut balance = self.locked(id)?;
            balance.owed = add(id, balance.owed, debt)?;
            after.insert(id, balance);
        }
        let mut booked = legs.to_vec();
        for leg in legs {
            self.apply(&mut after, leg)?;
        }
        for id in after.keys().copied().collect::<Vec<_>>() {
            let Some(caught) = self.caught(&after, id)? else {
                continue;
            };
            for leg in Leg::pair(Account::Available(id), Account::RECEIVABLE, caught) {
                self.apply(&mut after, &leg)?;
                booked.push(leg);
            }
            if let Some(balance) = after.get_mut(&id) {
                balance.owed = add(id, balance.owed, caught.negated())?;
            }
        }
        for (id, balance) in &after {
            if balance.available.is_negative() || balance.frozen.is_negative() || balance.owed.is_negative() {
                return Err(PostingError::InsufficientFunds(*id));
            }
        }
        for (id, balance) in after {
            self.wallets.insert(id, balance);
            if !self.changed.contains(&id) {
                self.changed.push(id);
            }
        }
        Ok(booked)
    }

    fn locked(&self, id: WalletId) -> Result<Balance, PostingError> {
        self.wallets.get(&id).copied().ok_or(PostingError::NotLocked(id))
    }

    fn apply(&self, after: &mut HashMap<WalletId, Balance>, leg: &Leg) -> Result<(), PostingError> {
        let Some(id) = leg.account.wallet() else {
            return Ok(());
        };
        let mut balance = match after.get(&id) {
            Some(balance) => *balance,
            None => self.locked(id)?,
        };
        let side = if matches!(leg.account, Account::Available(_)) {
            &mut balance.available
        } else {
            &mut balance.frozen
        };
        *side = add(id, *side, leg.amount)?;
        after.insert(id, balance);
        Ok(())
    }

    /// How much of what became spendable pays the owner's debt; none when nothing did, or nothing is owed.
    fn caught(
        &self,
        after: &HashMap<WalletId, Balance>,
        id: WalletId,
    ) -> Result<Option<Money>, PostingError> {
        let (before, Some(now)) = (self.locked(id)?, after.get(&id)) else {
            return Ok(None);
        };
        let credited = add(id, now.available, before.available.negated())?;
        let caught = credited
            .at_most(now.owed)
            .map_err(|source| PostingError::Money { wallet: id, source })?;
        Ok(caught.is_positive().then_some(caught))
    }

    /// The wallets whose balances changed, as they stand now.
    pub fn changed(&self) -> impl Iterator<Item = (WalletId, &Balance)> {
        self.changed
            .iter()
            .filter_map(|id| self.wallets.get(id).map(|balance| (*id, balance)))
    }
}

fn add(wallet: WalletId, one: Money, other: Money) -> Result<Money, PostingError> {
    one.checked_add(other)
        .map_err(|source| PostingError::Money { wallet, source })
}

fn check_sums(legs: &[Leg]) -> Result<(), PostingError> {
    let mut sums: HashMap<Currency, Money> = HashMap::new();
    for leg in legs {
        let currency = leg.amount.currency();
        let sum = sums.entry(currency).or_insert_with(|| Money::zero(currency));
        *sum = sum
            .checked_add(leg.amount)
            .map_err(|_| PostingError::Unbalanced)?;
    }
    if sums.values().all(|sum| *sum == Money::zero(sum.currency())) {
        Ok(())
    } else {
        Err(PostingError::Unbalanced)
    }
}

#[cfg(test)]
mod tests;
