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

    /// Books all legs of one posting, or none of them.
    ///
    /// # Errors
    /// When a balance would become negative or leave its range, a currency does not fit, a wallet is not locked, or the legs do
    /// not sum to zero.
    pub fn book(&mut self, legs: &[Leg]) -> Result<(), PostingError> {
        check_sums(legs)?;
        let mut after: HashMap<WalletId, Balance> = HashMap::new();
        for leg in legs {
            let Some(id) = leg.account.wallet() else { continue };
            let mut balance = match after.get(&id).or_else(|| self.wallets.get(&id)) {
                Some(balance) => *balance,
                None => return Err(PostingError::NotLocked(id)),
            };
            let side = if matches!(leg.account, Account::Available(_)) {
                &mut balance.available
            } else {
                &mut balance.frozen
            };
            *side = side
                .checked_add(leg.amount)
                .map_err(|source| PostingError::Money { wallet: id, source })?;
            after.insert(id, balance);
        }
        for (id, balance) in &after {
            if balance.available.is_negative() || balance.frozen.is_negative() {
                return Err(PostingError::InsufficientFunds(*id));
            }
        }
        for (id, balance) in after {
            self.wallets.insert(id, balance);
            if !self.changed.contains(&id) {
                self.changed.push(id);
            }
        }
        Ok(())
    }

    /// The wallets whose balances changed, as they stand now.
    pub fn changed(&self) -> impl Iterator<Item = (WalletId, &Balance)> {
        self.changed
            .iter()
            .filter_map(|id| self.wallets.get(id).map(|balance| (*id, balance)))
    }
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
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::ledger::PlatformAccount;

    fn wallet(n: u128) -> WalletId {
        WalletId::from_uuid(Uuid::from_u128(n))
    }

    fn usd(minor: i64) -> Money {
        Money::from_minor(minor, Currency::USD).unwrap()
    }

    fn books(available: &[i64]) -> Books {
        let owner = UserId::from_uuid(Uuid::nil());
        Books::new(
            (0..)
                .zip(available)
                .map(|(n, minor)| {
                    let balance = Balance {
                        user_id: owner,
                        is_active: true,
                        available: usd(*minor),
                        frozen: Money::zero(Currency::USD),
                    };
                    (wallet(n), balance)
                })
                .collect(),
        )
    }

    proptest! {
        #[test]
        fn no_sequence_of_transfers_loses_a_cent_or_overdraws(
            moves in proptest::collection::vec((0_u128..4, 0_u128..4, 1_i64..500), 0..60)
        ) {
            let mut books = books(&[1000, 500, 0, 0]);
            for (from, to, minor) in moves {
                let legs = Leg::pair(Account::Available(wallet(from)), Account::Available(wallet(to)), usd(minor));
                let before = books.wallet(wallet(from)).unwrap().available;
                let done = books.book(&legs);
                prop_assert_eq!(done.is_ok(), from == to || before.amount() >= usd(minor).amount());
            }
            let sum: i64 = (0..4).map(|n| books.wallet(wallet(n)).unwrap().available.minor().unwrap()).sum();
            prop_assert_eq!(sum, 1500);
        }
    }

    #[test]
    fn a_refused_posting_changes_nothing() {
        let mut books = books(&[100, 0]);
        let legs = Leg::pair(
            Account::Available(wallet(0)),
            Account::Available(wallet(1)),
            usd(101),
        );
        assert_eq!(books.book(&legs), Err(PostingError::InsufficientFunds(wallet(0))));
        assert_eq!(books.changed().count(), 0);
        assert_eq!(books.wallet(wallet(1)).unwrap().available, usd(0));
    }

    #[test]
    fn legs_that_do_not_sum_to_zero_are_refused() {
        let mut books = books(&[100]);
        let leg = Leg {
            account: Account::Available(wallet(0)),
            amount: usd(1),
        };
        assert_eq!(books.book(&[leg]), Err(PostingError::Unbalanced));
        let eur = Money::from_minor(1, Currency::EUR).unwrap().negated();
        let other = Leg {
            account: Account::Platform(PlatformAccount::StripeClearing),
            amount: eur,
        };
        assert_eq!(books.book(&[leg, other]), Err(PostingError::Unbalanced));
    }

    #[test]
    fn an_overflow_fails_its_own_posting_alone() {
        let most = crate::money::MAX_MAJOR * 100;
        let mut books = books(&[100, most]);
        let legs = Leg::pair(
            Account::Available(wallet(0)),
            Account::Available(wallet(1)),
            usd(1),
        );
        assert!(matches!(books.book(&legs), Err(PostingError::Money { .. })));
        assert_eq!(books.wallet(wallet(0)).unwrap().available, usd(100));
    }
}
