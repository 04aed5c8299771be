//! Connected accounts: what each holds, with its payouts that are not paid yet, compared with what is in transit there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;
use futures::{StreamExt, TryStreamExt};
use rust_decimal::Decimal;

use super::ReconcileError;
use super::ask::{Asker, Patience};
use super::ledger_snapshot::{self, InTransits, LedgerSnapshot};
use super::report::{Cause, Difference, Subject};
use crate::db::{Db, DbError, Only, sql};
use crate::money::Currency;
use crate::stripe::{AccountId, CallError, Disposition, Payout, PayoutStatus};

/// The number of accounts that are read at once.
const AT_ONCE: usize = 4;
/// The maximum age of a payout that is not paid; banks take days.
const OLDEST_PAYOUT: TimeDelta = TimeDelta::days(35);

/// What the connected accounts hold.
pub(super) struct Accounts {
    pub(super) asked: Vec<Holdings>,
    /// What they should have held just before the first of them was read.
    before: InTransits,
}

/// What an account holds.
pub(super) struct Holdings {
    pub(super) account: String,
    pub(super) held: BTreeMap<Currency, Decimal>,
    /// Whether Stripe has answered.
    pub(super) is_known: bool,
}

/// Reads what every account holds to which money was ever sent.
pub(super) async fn holdings(asker: Asker<'_>, now: DateTime<Utc>) -> Result<Accounts, ReconcileError> {
    // Before the first request: what is booked from now on may or may not be in an answer.
    let before = ledger_snapshot::read_in_transit(asker.db).await?;
    let accounts = used(asker.db, &before).await?;
    let asked = futures::stream::iter(accounts)
        .map(|account| holding(asker, account, now))
        .buffer_unordered(AT_ONCE);
    let asked = asked.try_collect().await?;
    Ok(Accounts { asked, before })
}

/// Returns the accounts to which the workers have sent money, and those on which the ledger has something: after a backup was restored, money can be
/// booked that was found at Stripe and that no worker is recorded to have sent.
async fn used(db: &Db, booked: &InTransits) -> Result<BTreeSet<String>, DbError> {
    let rows: Vec<Only<Text, String>> =
        sql("SELECT stripe_account_id AS id FROM stripe_accounts WHERE paid_at IS NOT NULL")
            .load(&mut db.conn().await?)
            .await?;
    let booked = booked.iter().filter(|(_, of)| !of.turnover.is_zero());
    Ok(rows
        .into_iter()
        .map(|row| row.value)
        .chain(booked.map(|((account, _), _)| account.clone()))
        .collect())
}

async fn holding(asker: Asker<'_>, account: String, now: DateTime<Utc>) -> Result<Holdings, ReconcileError> {
    let unknown = |account| Holdings {
        account,
        held: BTreeMap::new(),
        is_known: false,
    };
    let Ok(id) = account.parse::<AccountId>() else {
        return Ok(unknown(account));
    };
    match ask(asker, &id, now).await {
        Ok(held) => Ok(Holdings {
            account,
            held,
            is_known: true,
        }),
        Err(ReconcileError::Call(CallError::Stripe(error)))
            if matches!(
                error.disposition(),
                Disposition::FailDefinite | Disposition::NeedsReview | Disposition::RetryThenReview
            ) =>
        {
            Ok(unknown(account))
        }
        Err(error) => Err(error),
    }
}

async fn ask(
    asker: Asker<'_>,
    id: &AccountId,
    now: DateTime<Utc>,
) -> Result<BTreeMap<Currency, Decimal>, ReconcileError> {
    let client = asker.calls.client();
    // An account that refuses us is closed: that is reported, and asking again would only open the breaker.
    let balance = asker
        .ask(Patience::Outage, || client.retrieve_balance(Some(id)))
        .await?;
    let payouts = asker
        .ask(Patience::Outage, || client.list_payouts(id, now - OLDEST_PAYOUT))
        .await?;
    // Each page of a list is a call of its own.
    asker.pay_for_pages(payouts.len()).await?;
    let mut held: BTreeMap<Currency, Decimal> = BTreeMap::new();
    let unpaid = |payout: &&Payout| matches!(payout.status, PayoutStatus::Pending | PayoutStatus::InTransit);
    let amounts = balance
        .all()
        .chain(payouts.iter().filter(unpaid).map(|payout| &payout.amount));
    for amount in amounts {
        *held.entry(amount.currency()).or_default() += amount.amount();
    }
    Ok(held)
}

/// Returns a difference for each account that holds something else than what is in transit there.
pub(super) fn differences(
    snapshot: &LedgerSnapshot,
    accounts: &Accounts,
    now: DateTime<Utc>,
) -> Vec<Difference> {
    let known: HashMap<&str, &Holdings> = accounts
        .asked
        .iter()
        .map(|held| (held.account.as_str(), held))
        .collect();
    let keys: BTreeSet<(&str, Currency)> = snapshot
        .in_transit
        .keys()
        .map(|(account, currency)| (account.as_str(), *currency))
        .chain(accounts.asked.iter().flat_map(|held| {
            held.held
                .keys()
                .map(|currency| (held.account.as_str(), *currency))
        }))
        .collect();
    let mut differences = Vec::new();
    for (account, currency) in keys {
        let key = (account.to_owned(), currency);
        let expected = snapshot.in_transit.get(&key);
        let holdings = known.get(account);
        let held = holdings
            .and_then(|holdings| holdings.held.get(&currency))
            .copied()
            .unwrap_or_default();
        let amount = held - expected.map(|expected| expected.amount).unwrap_or_default();
        if amount.is_zero() {
            continue;
        }
        // An account that was not read had nothing booked before the first request: all that is there now was booked since.
        let (cause, explained) = if holdings.is_none_or(|holdings| holdings.is_known) {
            let before = accounts
                .before
                .get(&key)
                .map(|before| before.turnover)
                .unwrap_or_default();
            let under_way = expected.map(|expected| expected.open + expected.turnover - before);
            cause(amount, under_way.unwrap_or_default())
        } else {
            (Cause::AccountAway, false)
        };
        differences.push(Difference {
            subject: Subject::Account(account.to_owned()),
            transaction: None,
            amount,
            currency,
            age: expected.map_or_else(TimeDelta::zero, |expected| now - expected.last),
            cause,
            explained,
        });
    }
    differences
}

/// Returns the likely cause, and whether it explains the difference. `under_way` is the most by which Stripe can be ahead or behind: what is open
/// there, and what was booked after the request. It is only a bound: one withdrawal that waits for an operator must not hide other differences.
fn cause(amount: Decimal, under_way: Decimal) -> (Cause, bool) {
    if amount.abs() <= under_way {
        (Cause::InFlight, true)
    } else if amount.is_sign_positive() {
        (Cause::MadeOutside, false)
    } else {
        (Cause::AccountHoldsLess, false)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ledger_snapshot::InTransit;
    use super::*;

    fn in_transit(amount: i64, open: i64, turnover: i64) -> InTransits {
        let of = InTransit {
            amount: amount.into(),
            open: open.into(),
            turnover: turnover.into(),
            last: DateTime::UNIX_EPOCH,
        };
        HashMap::from([(("acct_1".to_owned(), Currency::USD), of)])
    }

    /// Returns the differences of an account that holds `held`, given the ledger before it was read and after.
    fn found(held: i64, before: InTransits, after: InTransits) -> Vec<(Decimal, Cause, bool)> {
        let asked = Holdings {
            account: "acct_1".to_owned(),
            held: BTreeMap::from([(Currency::USD, held.into())]),
            is_known: true,
        };
        compared(vec![asked], before, after)
    }

    fn compared(asked: Vec<Holdings>, before: InTransits, after: InTransits) -> Vec<(Decimal, Cause, bool)> {
        let snapshot = LedgerSnapshot {
            booked: HashMap::new(),
            standing: HashMap::new(),
            sums: Vec::new(),
            in_transit: after,
        };
        differences(&snapshot, &Accounts { asked, before }, DateTime::UNIX_EPOCH)
            .into_iter()
            .map(|it| (it.amount, it.cause, it.explained))
            .collect()
    }

    #[test]
    fn what_was_booked_after_the_account_was_asked_is_in_flight() {
        // A payout that was in transit was paid: 50 booked there and taken away again.
        let paid = found(50, in_transit(50, 50, 50), in_transit(0, 0, 100));
        assert_eq!(paid, [(50.into(), Cause::InFlight, true)]);
        // A transfer arrived after the account was read.
        let sent = found(0, HashMap::new(), in_transit(50, 0, 50));
        assert_eq!(sent, [((-50).into(), Cause::InFlight, true)]);
        // More than what was booked in the meantime is not explained by it.
        let more = found(51, in_transit(50, 50, 50), in_transit(0, 0, 100));
        assert_eq!(more, [(51.into(), Cause::MadeOutside, false)]);
    }

    #[test]
    fn an_open_withdrawal_explains_its_own_amount_and_no_more() {
        let ahead = found(0, in_transit(50, 50, 50), in_transit(50, 50, 50));
        assert_eq!(ahead, [((-50).into(), Cause::InFlight, true)]);
        let other = found(150, in_transit(50, 50, 50), in_transit(50, 50, 50));
        assert_eq!(other, [(100.into(), Cause::MadeOutside, false)]);
        let gone = found(-10, in_transit(50, 50, 50), in_transit(50, 50, 50));
        assert_eq!(gone, [((-60).into(), Cause::AccountHoldsLess, false)]);
        // Its transfer was made, and is not booked yet.
        let early = found(50, in_transit(0, 50, 0), in_transit(0, 50, 0));
        assert_eq!(early, [(50.into(), Cause::InFlight, true)]);
    }

    #[test]
    fn only_an_account_that_does_not_answer_cannot_be_asked() {
        let snapshot = || in_transit(43, 0, 43);
        let less = found(0, snapshot(), snapshot());
        assert_eq!(less, [((-43).into(), Cause::AccountHoldsLess, false)]);
        let away = Holdings {
            account: "acct_1".to_owned(),
            held: BTreeMap::new(),
            is_known: false,
        };
        let away = compared(vec![away], snapshot(), snapshot());
        assert_eq!(away, [((-43).into(), Cause::AccountAway, false)]);
        // Its first transfer was booked while the other accounts were read.
        let new = compared(Vec::new(), HashMap::new(), snapshot());
        assert_eq!(new, [((-43).into(), Cause::InFlight, true)]);
    }

    #[test]
    fn what_nothing_is_open_for_was_made_outside() {
        let held = found(5, in_transit(0, 0, 100), in_transit(0, 0, 100));
        assert_eq!(held, [(5.into(), Cause::MadeOutside, false)]);
    }
}
