//! The balances of locked wallets in memory, changed leg by leg before they are written.

use std::collections::{HashMap, HashSet};

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

    fn person(&self) -> Person {
        (self.user_id, self.currency())
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

/// A part of a debt that was paid from a wallet of the same person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caught {
    /// The wallet that paid.
    pub from: WalletId,
    /// The wallet whose debt it was; it can be the same.
    pub debtor: WalletId,
    /// How much.
    pub amount: Money,
}

impl Caught {
    /// The legs of the payment.
    #[must_use]
    pub fn legs(&self) -> [Leg; 2] {
        Leg::pair(Account::Available(self.from), Account::RECEIVABLE, self.amount)
    }
}

/// Whose debts are one: a person's, in a currency.
type Person = (UserId, Currency);

/// The locked wallets of one database transaction.
#[derive(Debug, Default)]
pub struct Books {
    wallets: HashMap<WalletId, Balance>,
    changed: Vec<WalletId>,
    /// Those who owe anything: nobody else's wallets are looked through.
    debtors: HashSet<Person>,
}

impl Books {
    /// Books of these locked wallets.
    #[must_use]
    pub fn new(wallets: HashMap<WalletId, Balance>) -> Self {
        let owing = wallets.values().filter(|balance| balance.owed.is_positive());
        Self {
            debtors: owing.map(Balance::person).collect(),
            wallets,
            changed: Vec::new(),
        }
    }

    /// A locked wallet as it stands now.
    #[must_use]
    pub fn wallet(&self, id: WalletId) -> Option<&Balance> {
        self.wallets.get(&id)
    }

    /// Books all legs of one posting, or none of them, and gives what was paid of debts by it: a person who owes the platform has nothing to
    /// spend in any locked wallet of that currency, so whatever is spendable after the posting pays the debt. `owes` changes a debt
    /// before that. A wallet that is not active pays no debt but its own: what another wallet is given back later would have left it. Once it is
    /// active again, the debt is paid before anything is sent from it.
    ///
    /// # Errors
    /// When a balance would become negative or leave its range, a currency does not fit, a wallet is not locked, or the legs do
    /// not sum to zero.
    pub fn book(
        &mut self,
        legs: &[Leg],
        owes: Option<(WalletId, Money)>,
    ) -> Result<Vec<Caught>, PostingError> {
        check_sums(legs)?;
        let mut after: HashMap<WalletId, Balance> = HashMap::new();
        let mut caught = Vec::new();
        if owes.is_none() {
            for id in legs.iter().filter_map(taken_of) {
                after.insert(id, self.locked(id)?);
            }
            caught.extend(self.catch(&mut after)?);
        }
        if let Some((id, debt)) = owes {
            let mut balance = self.locked(id)?;
            balance.owed = add(id, balance.owed, debt)?;
            after.insert(id, balance);
        }
        for leg in legs {
            self.apply(&mut after, leg)?;
        }
        caught.extend(self.catch(&mut after)?);
        for (id, balance) in &after {
            if balance.available.is_negative() || balance.frozen.is_negative() || balance.owed.is_negative() {
                return Err(PostingError::InsufficientFunds(*id));
            }
        }
        for (id, balance) in after {
            if balance.owed.is_positive() {
                self.debtors.insert(balance.person());
            }
            self.wallets.insert(id, balance);
            if !self.changed.contains(&id) {
                self.changed.push(id);
            }
        }
        Ok(caught)
    }

    fn locked(&self, id: WalletId) -> Result<Balance, PostingError> {
        self.wallets.get(&id).copied().ok_or(PostingError::NotLocked(id))
    }

    fn apply(&self, after: &mut HashMap<WalletId, Balance>, leg: &Leg) -> Result<(), PostingError> {
        let Some(id) = leg.account.wallet() else {
            return Ok(());
        };
        let mut balance = self.seen(after, id)?;
        let side = if matches!(leg.account, Account::Available(_)) {
            &mut balance.available
        } else {
            &mut balance.frozen
        };
        *side = add(id, *side, leg.amount)?;
        after.insert(id, balance);
        Ok(())
    }

    /// Pays the debts of those whose wallets were touched, as far as their locked wallets reach: each wallet its own debt first.
    fn catch(&self, after: &mut HashMap<WalletId, Balance>) -> Result<Vec<Caught>, PostingError> {
        let mut people: Vec<Person> = after
            .values()
            .filter(|balance| balance.owed.is_positive() || self.debtors.contains(&balance.person()))
            .map(Balance::person)
            .collect();
        people.sort_unstable();
        people.dedup();
        let mut caught = Vec::new();
        for person in people {
            let mut theirs: Vec<WalletId> = self
                .wallets
                .iter()
                .filter(|(_, balance)| balance.person() == person)
                .map(|(id, _)| *id)
                .collect();
            theirs.sort_unstable();
            for from in theirs.iter().copied() {
                let others = theirs.iter().copied().filter(|debtor| *debtor != from);
                for debtor in std::iter::once(from).chain(others) {
                    let (payer, owing) = (self.seen(after, from)?, self.seen(after, debtor)?);
                    if !payer.is_active && from != debtor {
                        continue;
                    }
                    let amount = payer
                        .available
                        .at_most(owing.owed)
                        .map_err(|source| PostingError::Money { wallet: from, source })?;
                    if !amount.is_positive() {
                        continue;
                    }
                    let one = Caught { from, debtor, amount };
                    for leg in one.legs() {
                        self.apply(after, &leg)?;
                    }
                    let mut owing = self.seen(after, debtor)?;
                    owing.owed = add(debtor, owing.owed, amount.negated())?;
                    after.insert(debtor, owing);
                    caught.push(one);
                }
            }
        }
        Ok(caught)
    }

    /// A wallet as the posting has left it so far.
    fn seen(&self, after: &HashMap<WalletId, Balance>, id: WalletId) -> Result<Balance, PostingError> {
        after.get(&id).copied().map_or_else(|| self.locked(id), Ok)
    }

    /// The wallets in which something is owed, and how much.
    pub fn owing(&self) -> impl Iterator<Item = (WalletId, Money)> {
        let owing = self
            .wallets
            .iter()
            .filter(|(_, balance)| balance.owed.is_positive());
        owing.map(|(id, balance)| (*id, balance.owed))
    }

    /// The wallets whose balances changed, as they stand now.
    pub fn changed(&self) -> impl Iterator<Item = (WalletId, &Balance)> {
        self.changed
            .iter()
            .filter_map(|id| self.wallets.get(id).map(|balance| (*id, balance)))
    }
}

/// The wallet of whose spendable money a leg takes.
fn taken_of(leg: &Leg) -> Option<WalletId> {
    match leg.account {
        Account::Available(id) if leg.amount.is_negative() => Some(id),
        _ => None,
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
