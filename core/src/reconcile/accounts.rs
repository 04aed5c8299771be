//! Connected accounts: what each holds, with its payouts that are not paid, against what is in transit there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;
use futures::{StreamExt, TryStreamExt};
use rust_decimal::Decimal;

use super::ReconcileError;
use super::books::{Books, InTransit};
use super::report::{Cause, Difference, Subject};
use crate::db::{Db, DbError, sql};
use crate::money::Currency;
use crate::stripe::{AccountId, CallError, Disposition, Lane, Payout, PayoutStatus, StripeCalls};

/// Accounts asked at once.
const AT_ONCE: usize = 4;
/// A payout that is not paid is at most this old; banks take days.
const OLDEST_PAYOUT: TimeDelta = TimeDelta::days(35);

/// What an account holds.
pub(super) struct Holdings {
    pub(super) account: String,
    pub(super) held: BTreeMap<Currency, Decimal>,
    /// Whether Stripe told.
    pub(super) is_known: bool,
}

#[derive(QueryableByName)]
struct AccountRow {
    #[diesel(sql_type = Text)]
    id: String,
}

/// What every account holds to which money was ever sent.
pub(super) async fn holdings(
    db: &Db,
    calls: &StripeCalls,
    now: DateTime<Utc>,
) -> Result<Vec<Holdings>, ReconcileError> {
    let accounts = used(db).await?;
    let asked = futures::stream::iter(accounts)
        .map(|account| holding(calls, account, now))
        .buffer_unordered(AT_ONCE);
    Ok(asked.try_collect().await?)
}

async fn used(db: &Db) -> Result<Vec<String>, DbError> {
    let rows: Vec<AccountRow> =
        sql("SELECT stripe_account_id AS id FROM stripe_accounts WHERE paid_at IS NOT NULL ORDER BY 1")
            .load(&mut db.conn().await?)
            .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

async fn holding(calls: &StripeCalls, account: String, now: DateTime<Utc>) -> Result<Holdings, CallError> {
    let unknown = |account| Holdings {
        account,
        held: BTreeMap::new(),
        is_known: false,
    };
    let Ok(id) = account.parse::<AccountId>() else {
        return Ok(unknown(account));
    };
    match ask(calls, &id, now).await {
        Ok(held) => Ok(Holdings {
            account,
            held,
            is_known: true,
        }),
        Err(CallError::Gateway(error))
            if matches!(
                error.disposition(),
                Disposition::FailDefinite | Disposition::NeedsReview | Disposition::PauseLane
            ) =>
        {
            Ok(unknown(account))
        }
        Err(error) => Err(error),
    }
}

async fn ask(
    calls: &StripeCalls,
    id: &AccountId,
    now: DateTime<Utc>,
) -> Result<BTreeMap<Currency, Decimal>, CallError> {
    let gateway = calls.gateway();
    let balance = calls
        .ask(Lane::Maintenance, gateway.retrieve_balance(Some(id)))
        .await?;
    let listing = gateway.list_payouts(id, now - OLDEST_PAYOUT);
    let payouts = calls.ask(Lane::Maintenance, listing).await?;
    let mut held: BTreeMap<Currency, Decimal> = BTreeMap::new();
    let unpaid = |payout: &&Payout| matches!(payout.status, PayoutStatus::Pending | PayoutStatus::InTransit);
    let amounts = balance
        .available
        .iter()
        .chain(&balance.pending)
        .chain(payouts.iter().filter(unpaid).map(|payout| &payout.amount));
    for amount in amounts {
        *held.entry(amount.currency()).or_default() += amount.amount();
    }
    Ok(held)
}

/// The accounts that hold something else than is in transit there.
pub(super) fn differences(books: &Books, accounts: &[Holdings], now: DateTime<Utc>) -> Vec<Difference> {
    let known: HashMap<&str, &Holdings> = accounts
        .iter()
        .map(|held| (held.account.as_str(), held))
        .collect();
    let keys: BTreeSet<(&str, Currency)> = books
        .in_transit
        .keys()
        .map(|(account, currency)| (account.as_str(), *currency))
        .chain(accounts.iter().flat_map(|held| {
            held.held
                .keys()
                .map(|currency| (held.account.as_str(), *currency))
        }))
        .collect();
    let mut differences = Vec::new();
    for (account, currency) in keys {
        let expected = books.in_transit.get(&(account.to_owned(), currency));
        let holdings = known.get(account);
        let held = holdings
            .and_then(|holdings| holdings.held.get(&currency))
            .copied()
            .unwrap_or_default();
        let amount = held - expected.map(|expected| expected.amount).unwrap_or_default();
        if amount.is_zero() {
            continue;
        }
        let (cause, explained) = if holdings.is_some_and(|holdings| holdings.is_known) {
            cause(amount, expected)
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

fn cause(amount: Decimal, expected: Option<&InTransit>) -> (Cause, bool) {
    if expected.is_some_and(|expected| expected.is_under_way) {
        (Cause::InFlight, true)
    } else if amount.is_sign_positive() {
        (Cause::MadeOutside, false)
    } else {
        (Cause::EventNotReceived, false)
    }
}
