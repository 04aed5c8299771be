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
    /// The spendable balance.
    pub available: Money,
    /// The held balance.
    pub held: Money,
    /// The debt recorded in this wallet; collected from whatever becomes spendable.
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
        /// The underlying error.
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
pub struct Collected {
    /// The wallet that paid.
    pub from: WalletId,
    /// The wallet whose debt it was; it can be the same.
    pub debtor: WalletId,
    /// The amount paid.
    pub amount: Money,
}

impl Collected {
    /// Returns the legs of the payment.
    #[must_use]
    pub fn legs(&self) -> [Leg; 2] {
        Leg::pair(Account::Available(self.from), Account::RECEIVABLE, self.amount)
    }
}

/// A person and a currency: all debts of one person in one currency are one debt.
type Person = (UserId, Currency);

/// The locked wallets of one database transaction.
#[derive(Debug, Default)]
pub struct LockedBalances {
    wallets: HashMap<WalletId, Balance>,
    changed: Vec<WalletId>,
    /// The people who owe anything; the wallets of other people are not searched for debts.
    debtors: HashSet<Person>,
}

impl LockedBalances {
    /// Creates the balances of these locked wallets.
    #[must_use]
    pub fn new(wallets: HashMap<WalletId, Balance>) -> Self {
        let debtors = wallets.values().filter(|balance| balance.owed.is_positive());
        Self {
            debtors: debtors.map(Balance::person).collect(),
            wallets,
            changed: Vec::new(),
        }
    }

    /// Returns a locked wallet as it stands now.
    #[must_use]
    pub fn wallet(&self, id: WalletId) -> Option<&Balance> {
        self.wallets.get(&id)
    }

    /// Books all legs of one posting, or none of them, and returns the debt payments that this caused. A person who owes the platform has nothing
    /// to spend in any locked wallet of that currency, so whatever is spendable after the posting pays the debt. `owes` changes a debt before
    /// that. An inactive wallet pays only its own debt: otherwise its money would end up in the other wallet when that is refunded later. Once
    /// it is active again, the debt is paid before anything is sent from it.
    ///
    /// # Errors
    /// When a balance would become negative or leave its range, a currency does not fit, a wallet is not locked, or the legs do
    /// not sum to zero.
    pub fn book(
        &mut self,
        legs: &[Leg],
        owes: Option<(WalletId, Money)>,
    ) -> Result<Vec<Collected>, PostingError> {
        check_sums(legs)?;
        let mut after: HashMap<WalletId, Balance> = HashMap::new();
        let mut collected = Vec::new();
        if owes.is_none() {
            for id in legs.iter().filter_map(taken_of) {
                after.insert(id, self.locked(id)?);
            }
            collected.extend(self.collect_debts(&mut after)?);
        }
        if let Some((id, debt)) = owes {
            let mut balance = self.locked(id)?;
            balance.owed = add(id, balance.owed, debt)?;
            after.insert(id, balance);
        }
        for leg in legs {
            self.apply(&mut after, leg)?;
        }
        collected.extend(self.collect_debts(&mut after)?);
        for (id, balance) in &after {
            if balance.available.is_negative() || balance.held.is_negative() || balance.owed.is_negative() {
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
        Ok(collected)
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
            &mut balance.held
        };
        *side = add(id, *side, leg.amount)?;
        after.insert(id, balance);
        Ok(())
    }

    /// Pays the debts of the owners of touched wallets, as far as their locked wallets have the money; each wallet pays its own debt first.
    fn collect_debts(&self, after: &mut HashMap<WalletId, Balance>) -> Result<Vec<Collected>, PostingError> {
        let mut people: Vec<Person> = after
            .values()
            .filter(|balance| balance.owed.is_positive() || self.debtors.contains(&balance.person()))
            .map(Balance::person)
            .collect();
        people.sort_unstable();
        people.dedup();
        let mut collected = Vec::new();
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
                    let (payer, indebted) = (self.seen(after, from)?, self.seen(after, debtor)?);
                    if !payer.is_active && from != debtor {
                        continue;
                    }
                    let amount = payer
                        .available
                        .at_most(indebted.owed)
                        .map_err(|source| PostingError::Money { wallet: from, source })?;
                    if !amount.is_positive() {
                        continue;
                    }
                    let one = Collected { from, debtor, amount };
                    for leg in one.legs() {
                        self.apply(after, &leg)?;
                    }
                    let mut indebted = self.seen(after, debtor)?;
                    indebted.owed = add(debtor, indebted.owed, amount.negated())?;
                    after.insert(debtor, indebted);
                    collected.push(one);
                }
            }
        }
        Ok(collected)
    }

    /// Returns a wallet as the posting has left it so far.
    fn seen(&self, after: &HashMap<WalletId, Balance>, id: WalletId) -> Result<Balance, PostingError> {
        after.get(&id).copied().map_or_else(|| self.locked(id), Ok)
    }

    /// Returns the wallets in which something is owed, and how much.
    pub fn debts(&self) -> impl Iterator<Item = (WalletId, Money)> {
        let debtors = self
            .wallets
            .iter()
            .filter(|(_, balance)| balance.owed.is_positive());
        debtors.map(|(id, balance)| (*id, balance.owed))
    }

    /// Returns the wallets whose balances changed, as they stand now.
    pub fn changed(&self) -> impl Iterator<Item = (WalletId, &Balance)> {
        self.changed
            .iter()
            .filter_map(|id| self.wallets.get(id).map(|balance| (*id, balance)))
    }
}

/// Returns the wallet from whose spendable balance a leg takes, if it does.
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
