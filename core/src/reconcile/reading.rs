//! The platform's balance as of the newest movement that was read.
//!
//! On a live system the balance has moved again before the last of its movements is read, so a reading of it must be placed in their list: it
//! is taken between two reads of the list's head. If both show the same head, it contains exactly the movements up to there. Otherwise it
//! contains only the oldest few of the movements in between, so there is one possible sum for each number of them.

use rust_decimal::Decimal;

use super::ReconcileError;
use super::ask::{Asker, Patience};
use crate::money::{Currency, Money};
use crate::stripe::{Balance, BalanceTransaction, BalanceTransactionPage, BalanceTransactionQuery};

/// The maximum number of readings in search of a quiet moment.
const READINGS: u32 = 5;

/// The balance, and the first page of the movements.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) balance: Balance,
    pub(super) page: BalanceTransactionPage,
    pub(super) between: Between,
}

/// The movements that were made around the moment at which the balance was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Between {
    /// These, oldest first: the balance contains the first few of them, perhaps none or all.
    These(Vec<Money>),
    /// More than a page of movements.
    Many,
}

/// Reads both, and again until nothing moves in between, at most `READINGS` times.
pub(super) async fn read(
    asker: Asker<'_>,
    newest: &BalanceTransactionQuery,
) -> Result<Reading, ReconcileError> {
    let mut earlier = page(asker, newest).await?;
    let mut readings = 0;
    loop {
        readings += 1;
        let client = asker.calls.client();
        let balance = asker
            .ask(Patience::Refusal, || client.retrieve_balance(None))
            .await?;
        let page = page(asker, newest).await?;
        let between = Between::of(&earlier, &page);
        if between.is_nothing() || readings == READINGS {
            return Ok(Reading {
                balance,
                page,
                between,
            });
        }
        earlier = page;
    }
}

/// Reads a page of movements.
pub(super) async fn page(
    asker: Asker<'_>,
    query: &BalanceTransactionQuery,
) -> Result<BalanceTransactionPage, ReconcileError> {
    let client = asker.calls.client();
    asker
        .ask(Patience::Refusal, || client.list_balance_transactions(query))
        .await
}

impl Between {
    fn of(earlier: &BalanceTransactionPage, later: &BalanceTransactionPage) -> Self {
        let newer = match earlier.transactions.first() {
            Some(head) => later.transactions.iter().position(|it| it.id == head.id),
            None => (!later.has_more).then_some(later.transactions.len()),
        };
        let net = |movement: &BalanceTransaction| movement.net;
        newer.map_or(Self::Many, |newer| {
            Self::These(later.transactions.iter().take(newer).rev().map(net).collect())
        })
    }

    fn is_nothing(&self) -> bool {
        matches!(self, Self::These(movements) if movements.is_empty())
    }

    /// Returns whether the balance in this currency is known exactly.
    pub(super) fn is_still(&self, currency: Currency) -> bool {
        match self {
            Self::These(movements) => movements.iter().all(|net| net.currency() != currency),
            Self::Many => false,
        }
    }

    /// Returns the sums by which the balance may fall short of the movements that were read: from nothing to all that lies between.
    pub(super) fn lacks(&self, currency: Currency) -> Vec<Decimal> {
        let mut lacks = vec![Decimal::ZERO];
        let Self::These(movements) = self else {
            return lacks;
        };
        let mut lack = Decimal::ZERO;
        for net in movements.iter().rev().filter(|net| net.currency() == currency) {
            lack += net.amount();
            lacks.push(lack);
        }
        lacks
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn money(cents: i64, currency: &str) -> Money {
        Money::new(Decimal::new(cents, 2), currency.parse().unwrap()).unwrap()
    }

    fn page(ids: &[&str], has_more: bool) -> BalanceTransactionPage {
        let of = |id: &&str| BalanceTransaction {
            id: format!("txn_{id}").parse().unwrap(),
            amount: money(100, "usd"),
            fee: money(0, "usd"),
            net: money(i64::from(id.as_bytes()[0]), "usd"),
            kind: "charge".to_owned(),
            source: None,
            available_on: DateTime::UNIX_EPOCH,
            created: DateTime::UNIX_EPOCH,
        };
        BalanceTransactionPage {
            transactions: ids.iter().map(of).collect(),
            has_more,
        }
    }

    #[test]
    fn what_lies_between_two_looks_is_what_is_newer_than_the_first_head() {
        let between = |earlier: &[&str], later: &[&str], has_more| {
            Between::of(&page(earlier, true), &page(later, has_more))
        };
        assert!(between(&["B", "A"], &["B", "A"], true).is_nothing());
        assert!(between(&[], &[], false).is_nothing());
        let newer = Between::These(vec![money(67, "usd"), money(68, "usd")]);
        assert_eq!(between(&["B", "A"], &["D", "C", "B"], true), newer);
        assert_eq!(between(&[], &["D", "C"], false), newer);
        assert_eq!(between(&["B", "A"], &["D", "C"], true), Between::Many);
        assert_eq!(between(&[], &["D", "C"], true), Between::Many);
    }

    #[test]
    fn the_balance_may_lack_the_newest_movements_of_its_currency() {
        let between = Between::These(vec![money(100, "usd"), money(700, "eur"), money(-30, "usd")]);
        let (usd, eur, gbp) = (
            "usd".parse().unwrap(),
            "eur".parse().unwrap(),
            "gbp".parse().unwrap(),
        );
        let cents = |currency| -> Vec<Decimal> { between.lacks(currency) };
        assert_eq!(
            cents(usd),
            [Decimal::ZERO, Decimal::new(-30, 2), Decimal::new(70, 2)]
        );
        assert_eq!(cents(eur), [Decimal::ZERO, Decimal::new(700, 2)]);
        assert_eq!(cents(gbp), [Decimal::ZERO]);
        assert!(between.is_still(gbp) && !between.is_still(usd) && !Between::Many.is_still(gbp));
    }
}
