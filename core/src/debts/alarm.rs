//! The alarm about people who owe more than a limit.

use std::collections::BTreeMap;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::store::list;
use crate::alarms::{self, AlarmKind};
use crate::db::{Db, DbError, in_transaction};
use crate::ids::UserId;
use crate::money::{Currency, Money};

/// The limits of a person's debt above which an alarm is raised, in major units: `100` for every currency, `100,jpy:15000` with exceptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmLimits {
    every: Decimal,
    of: BTreeMap<&'static str, Decimal>,
}

/// The error for a text that is not a list of limits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no limit")]
pub struct InvalidLimits(String);

impl AlarmLimits {
    /// Returns the limit of a currency, in major units.
    #[must_use]
    pub fn of(&self, currency: Currency) -> Decimal {
        self.of.get(currency.code()).copied().unwrap_or(self.every)
    }
}

/// The default limit, for currencies without a configured one.
const USUAL_LIMIT: Decimal = Decimal::ONE_HUNDRED;

impl FromStr for AlarmLimits {
    type Err = InvalidLimits;

    fn from_str(text: &str) -> Result<Self, InvalidLimits> {
        let mut limits = Self {
            every: USUAL_LIMIT,
            of: BTreeMap::new(),
        };
        for item in text.split(',').map(str::trim) {
            let wrong = || InvalidLimits(item.to_owned());
            let (code, limit) = match item.split_once(':') {
                Some((code, limit)) => (Some(code.trim()), limit.trim()),
                None => (None, item),
            };
            let limit: Decimal = limit.parse().map_err(|_| wrong())?;
            if limit.is_sign_negative() {
                return Err(wrong());
            }
            match code {
                Some(code) => {
                    let currency: Currency = code.parse().map_err(|_| wrong())?;
                    Money::new(limit, currency).map_err(|_| wrong())?;
                    limits.of.insert(currency.code(), limit);
                }
                None => limits.every = limit,
            }
        }
        Ok(limits)
    }
}

/// Raises an alarm for each person who owes more than the limit, and closes those of people who no longer do.
///
/// # Errors
/// When the database cannot be reached.
pub async fn raise_alarms(db: &Db, limits: &AlarmLimits, now: DateTime<Utc>) -> Result<(), DbError> {
    in_transaction!(db, conn => {
        let mut people: BTreeMap<(UserId, &'static str), Money> = BTreeMap::new();
        for debt in list(conn).await? {
            let currency = debt.amount.currency();
            let sum = people
                .entry((debt.user, currency.code()))
                .or_insert_with(|| Money::zero(currency));
            *sum = sum.checked_add(debt.amount).unwrap_or(*sum);
        }
        people.retain(|_, sum| sum.amount() > limits.of(sum.currency()));
        let mut owing: BTreeMap<String, Money> = people
            .into_iter()
            .map(|((user, code), sum)| (format!("{user}:{code}"), sum))
            .collect();
        let message = |sum: &Money| format!("{sum} is owed; `wallet-worker debts` lists what for");
        for open in alarms::open_of(conn, AlarmKind::DebtAboveLimit).await? {
            match owing.get(&open.subject) {
                // Raised once, and again only when the sum has changed, not at every check.
                Some(sum) if message(sum) == open.message => {
                    owing.remove(&open.subject);
                }
                Some(_) => {}
                None => {
                    alarms::close(conn, AlarmKind::DebtAboveLimit, &open.subject, now).await?;
                }
            }
        }
        for (subject, sum) in &owing {
            let message = message(sum);
            alarms::raise(conn, AlarmKind::DebtAboveLimit, subject, &message, now).await?;
        }
        Ok::<(), DbError>(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_of_every_currency_or_of_one() {
        let limits: AlarmLimits = "100, jpy:15000,eur:0.50".parse().unwrap();
        let of = |code: &str| limits.of(code.parse().unwrap()).to_string();
        assert_eq!([of("usd"), of("jpy"), of("eur")], ["100", "15000", "0.50"]);
        let one: AlarmLimits = "jpy:15000".parse().unwrap();
        assert_eq!(
            one.of("usd".parse().unwrap()),
            USUAL_LIMIT,
            "another's limit changes nothing"
        );
        let none: AlarmLimits = "0".parse().unwrap();
        assert_eq!(none.of("usd".parse().unwrap()), Decimal::ZERO);
        for wrong in ["", "lots", "100,xyz:1", "-1", "usd:", "jpy:1.5", "usd:0.001"] {
            assert!(wrong.parse::<AlarmLimits>().is_err(), "{wrong}");
        }
    }
}
