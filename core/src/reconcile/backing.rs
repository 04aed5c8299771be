//! The check whether Stripe holds at least what the wallets hold.
//!
//! Users' money and the platform's own are on one balance. Stripe pays that balance out to the platform's bank, by a schedule or on command,
//! without asking us; so it is checked often, separately from the comparison of every movement.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{Interval, Numeric, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use rust_decimal::Decimal;

use super::ReconcileError;
use super::ask::{self, Asker, Patience};
use super::own;
use crate::budget::CallBudget;
use crate::db::{Db, DbError, sql};
use crate::money::Currency;
use crate::stripe::{BalanceTransaction, BalanceTransactionQuery, StripeCalls};
use crate::transactions;

/// For how long after the last news of a dispute its money may have moved at Stripe without being booked here. Stripe takes it when the dispute is
/// opened, an inquiry takes nothing (<https://docs.stripe.com/disputes/how-disputes-work>), and events that no webhook brings are read every
/// minute. So what an inquiry that becomes a dispute takes is missing for a moment only, and a single check stops nothing.
const DISPUTE_SETTLES_WITHIN: TimeDelta = TimeDelta::minutes(10);

/// How far back reserves are read: Stripe keeps nothing back for longer than 180 days (<https://docs.stripe.com/connect/connected-account-reserves>).
const RESERVED_FOR: TimeDelta = TimeDelta::days(200);
/// How far back debits are read: no bank takes longer to pay one, or to refuse it (<https://docs.stripe.com/payments/bank-debits>).
const DEBIT_PAID_WITHIN: TimeDelta = TimeDelta::days(45);
/// The maximum number of pages read per kind of movement; if there are more, the result is not known, which is an error.
const MOST_PAGES: usize = 200;

/// What must be at Stripe in one currency and what is there, in major units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backing {
    /// The currency.
    pub currency: Currency,
    /// What Stripe holds for the platform, pending money included, without bank debits that are not paid yet.
    pub held: Decimal,
    /// What Stripe keeps back besides that, as a security: the platform's, but not to be used for now. Only read when `held` is not enough.
    pub reserved: Decimal,
    /// What Stripe must hold for the wallets, and for what waits in suspense.
    pub wallets: Decimal,
    /// What Stripe holds according to the ledger (−Σ `stripe:clearing`), without any money of the platform's own.
    pub booked: Decimal,
}

impl Backing {
    /// Returns what is missing for the wallets, if anything is: the platform has not made up for fees, debts and what it took.
    #[must_use]
    pub fn missing(&self) -> Option<Decimal> {
        let missing = self.wallets - self.held - self.reserved;
        (missing > Decimal::ZERO).then_some(missing)
    }

    /// Returns whether money that is not the platform's own has left: more is missing for the wallets than the ledger explains by such things
    /// as Stripe's fees and what people owe.
    #[must_use]
    pub fn was_taken(&self) -> bool {
        self.missing().is_some() && self.held + self.reserved < self.booked
    }

    /// Returns what of the wallets' money lies in reserve: it is there, but sending it may have to wait until Stripe releases it.
    #[must_use]
    pub fn kept_back(&self) -> Option<Decimal> {
        let kept = (self.wallets - self.held).min(self.reserved);
        (kept > Decimal::ZERO).then_some(kept)
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    currency: String,
    #[diesel(sql_type = Numeric)]
    wallets: Decimal,
    #[diesel(sql_type = Numeric)]
    booked: Decimal,
}

/// Reads the platform's balance at Stripe and compares it with the ledger, for each currency in the ledger.
///
/// # Errors
/// When the database or Stripe cannot be reached, or Stripe lists more than can be read.
pub async fn backing(
    db: &Db,
    calls: &StripeCalls,
    budget: CallBudget,
) -> Result<Vec<Backing>, ReconcileError> {
    let now = calls.clock().now();
    let asker = Asker { db, calls, budget };
    let before = expected(db, now).await?;
    let client = calls.client();
    let balance = ask::ask(calls, Patience::Refusal, || client.retrieve_balance(None)).await?;
    // What was booked while Stripe answered may or may not be in the answer: the lesser of both reads counts.
    let after = expected(db, calls.clock().now()).await?;
    let mut held: BTreeMap<Currency, Decimal> = BTreeMap::new();
    for amount in balance.all() {
        *held.entry(amount.currency()).or_default() += amount.amount();
    }
    if balance.pending.iter().any(|amount| amount.is_positive()) {
        for (currency, unpaid) in unpaid_debits(asker, now).await? {
            *held.entry(currency).or_default() -= unpaid;
        }
    }
    let mut all: Vec<Backing> = before
        .into_iter()
        .map(|(currency, (wallets, booked))| {
            let (later_wallets, later_booked) = after.get(&currency).copied().unwrap_or((wallets, booked));
            Backing {
                currency,
                held: held.get(&currency).copied().unwrap_or_default(),
                reserved: Decimal::ZERO,
                wallets: wallets.min(later_wallets),
                booked: booked.min(later_booked),
            }
        })
        .collect();
    if all.iter().any(|backing| backing.missing().is_some()) {
        let reserved = reserved(asker, now).await?;
        for backing in &mut all {
            backing.reserved = reserved.get(&backing.currency).copied().unwrap_or_default();
        }
    }
    Ok(all)
}

/// Returns what Stripe keeps back of the platform's balance at this moment: what it has moved there and not moved back. The balance itself shows it in
/// previews of the API only (`risk_reserved`, <https://docs.stripe.com/changelog/dahlia/2026-03-25/adds-risk-reserved-balance-to-the-balances-api>).
async fn reserved(
    asker: Asker<'_>,
    now: DateTime<Utc>,
) -> Result<BTreeMap<Currency, Decimal>, ReconcileError> {
    let mut sums: BTreeMap<Currency, Decimal> = BTreeMap::new();
    for kind in own::RESERVES {
        for moved in movements(asker, kind, now - RESERVED_FOR).await? {
            *sums.entry(moved.net.currency()).or_default() -= moved.net.amount();
        }
    }
    sums.retain(|_, sum| *sum > Decimal::ZERO);
    Ok(sums)
}

/// Returns what the balance shows as pending from bank debits that no bank has paid yet: it may be reversed for days, and no wallet has it
/// (<https://support.stripe.com/questions/changes-to-balance-transaction-behavior-for-debit-payment-methods>).
async fn unpaid_debits(
    asker: Asker<'_>,
    now: DateTime<Utc>,
) -> Result<BTreeMap<Currency, Decimal>, ReconcileError> {
    let since = now - DEBIT_PAID_WITHIN;
    let failed = movements(asker, "payment_failure_refund", since).await?;
    let mut pending = movements(asker, "payment", since).await?;
    let sources: HashSet<String> = pending
        .iter()
        .filter_map(|payment| payment.source.clone())
        .collect();
    pending.retain(|moved| moved.available_on > now && moved.created <= now);
    let ids: Vec<_> = pending.iter().map(|moved| &moved.id).collect();
    let booked = transactions::booked_movements(&mut *asker.db.conn().await?, &ids).await?;
    pending.retain(|moved| !booked.contains(&moved.id));
    let mut sums: BTreeMap<Currency, Decimal> = BTreeMap::new();
    for moved in not_reversed(pending, failed, &sources) {
        *sums.entry(moved.net.currency()).or_default() += moved.net.amount();
    }
    Ok(sums)
}

/// Returns the unpaid payments without those that have failed. The movement that reverses a payment names the payment's charge, which is one of the
/// `sources` of all payments, or an object of its own (<https://docs.stripe.com/api/charges/object#charge_object-failure_balance_transaction>); in
/// the latter case it is taken to reverse an earlier payment of the same amount.
fn not_reversed(
    mut unpaid: Vec<BalanceTransaction>,
    failed: Vec<BalanceTransaction>,
    sources: &HashSet<String>,
) -> Vec<BalanceTransaction> {
    let (named, unnamed): (Vec<_>, Vec<_>) = failed.into_iter().partition(|back| {
        back.source
            .as_ref()
            .is_some_and(|source| sources.contains(source))
    });
    unpaid.retain(|moved| !named.iter().any(|back| back.source == moved.source));
    for back in unnamed {
        let of_amount = unpaid
            .iter()
            .position(|moved| moved.amount == back.amount.negated() && moved.created <= back.created);
        if let Some(place) = of_amount {
            unpaid.swap_remove(place);
        }
    }
    unpaid
}

/// Returns all movements of a kind since this time, newest first. None may be left out, since each changes the sum.
async fn movements(
    asker: Asker<'_>,
    kind: &'static str,
    since: DateTime<Utc>,
) -> Result<Vec<BalanceTransaction>, ReconcileError> {
    let client = asker.calls.client();
    let mut query = BalanceTransactionQuery {
        kind: Some(kind),
        created_since: Some(since),
        ..BalanceTransactionQuery::default()
    };
    let mut read = Vec::new();
    for _ in 0..MOST_PAGES {
        let question = || client.list_balance_transactions(&query);
        let page = asker.ask(Patience::Refusal, question).await?;
        query.older_than = page.transactions.last().map(|oldest| oldest.id.clone());
        read.extend(page.transactions);
        if !page.has_more {
            return Ok(read);
        }
    }
    Err(ReconcileError::TooManyMovements {
        kind,
        read: read.len(),
    })
}

/// Returns for each currency what the wallets need at least and what is booked at least: without what may be leaving or not have arrived yet.
async fn expected(db: &Db, now: DateTime<Utc>) -> Result<BTreeMap<Currency, (Decimal, Decimal)>, DbError> {
    let rows: Vec<Row> = sql(
        "WITH held AS (SELECT currency, sum(balance + frozen_balance) AS amount FROM wallets GROUP BY currency),
              booked AS (SELECT currency,
                                coalesce(-sum(amount) FILTER (WHERE account = 'stripe:clearing'), 0) AS clearing,
                                coalesce(-sum(amount) FILTER (WHERE account = 'stripe:in_transit'), 0) AS in_transit,
                                coalesce(sum(amount) FILTER (WHERE account = 'platform:suspense'), 0) AS suspense
                           FROM ledger_entries WHERE wallet_id IS NULL GROUP BY currency),
              moving AS (SELECT currency, sum(covered) AS covered, sum(leaving) AS leaving FROM (
                                -- A transfer, a refund or a dispute whose money Stripe may have moved and that is not booked yet. The wallets
                                -- hold what they could cover of it; Stripe moves all of it.
                                -- A dispute of which nothing was heard for a while has moved what is booked of it, and an inquiry nothing. Its fee is no
                                -- part of what moves.
                                SELECT t.currency,
                                       CASE WHEN is_quiet THEN least(coalesce(held_amount, 0), greatest(moved, 0))
                                            ELSE coalesce(held_amount, t.amount) END AS covered,
                                       CASE WHEN is_quiet THEN 0
                                            ELSE greatest(coalesce(claimed_amount, t.amount) - moved, 0) END AS leaving
                                  FROM wallet_transactions t
                                  CROSS JOIN LATERAL (SELECT coalesce(sum(e.amount), 0) AS moved FROM ledger_entries e
                                                       WHERE e.transaction_id = t.id AND e.account IN ('stripe:clearing', 'stripe:fees')) booked
                                  CROSS JOIN LATERAL (SELECT t.flow = 'dispute' AND t.updated_at < $1 - $2 AS is_quiet) heard
                                 WHERE status IN ('pending', 'processing')
                                   AND (stage IN ('held', 'refunding', 'disputed')
                                        OR (stage = 'accepted' AND flow IN ('dispute', 'dispute_loss', 'outside_refund')))
                                UNION ALL
                                -- A refund of ours that takes what lies in suspense, from its first try until it is booked.
                                SELECT s.currency, s.amount, s.amount
                                  FROM (SELECT transaction_id, currency, sum(amount) AS amount FROM ledger_entries
                                         WHERE account = 'platform:suspense' GROUP BY transaction_id, currency HAVING sum(amount) > 0) s
                                 WHERE EXISTS (SELECT 1 FROM stripe_calls c
                                                WHERE c.operation = 'refund' AND c.subject_id = s.transaction_id
                                                  AND (c.outcome = 'unknown'
                                                       OR (c.outcome = 'succeeded'
                                                           AND NOT EXISTS (SELECT 1 FROM external_refs r
                                                                            WHERE r.external_id = c.stripe_object_id
                                                                              AND r.kind IN ('refund_begun', 'refund', 'return')))))
                                UNION ALL
                                -- A payment that is credited and whose movement Stripe may not have made yet, or a refund whose fee is not known yet.
                                SELECT t.currency, t.amount, t.amount FROM jobs j JOIN wallet_transactions t ON t.id = j.transaction_id
                                 WHERE j.kind = 'deposit_fee') each GROUP BY currency)
         SELECT currency, coalesce(h.amount, 0) + coalesce(b.suspense, 0) - coalesce(b.in_transit, 0) - coalesce(m.covered, 0) AS wallets,
                coalesce(b.clearing, 0) - coalesce(m.leaving, 0) AS booked
           FROM held h FULL JOIN booked b USING (currency) FULL JOIN moving m USING (currency)",
    )
    .bind::<Timestamptz, _>(now)
    .bind::<Interval, _>(DISPUTE_SETTLES_WITHIN)
    .load(&mut db.conn().await?)
    .await?;
    rows.into_iter()
        .map(|row| {
            let currency = row
                .currency
                .parse()
                .map_err(|_| DbError::inconsistent("wallets", "currency", &row.currency))?;
            Ok((currency, (row.wallets, row.booked)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Money;

    fn backing(held: i64, wallets: i64, booked: i64) -> Backing {
        Backing {
            currency: Currency::USD,
            held: held.into(),
            reserved: Decimal::ZERO,
            wallets: wallets.into(),
            booked: booked.into(),
        }
    }

    fn moved(id: &str, minor: i64, source: Option<&str>, second: i64) -> BalanceTransaction {
        let amount = Money::from_minor(minor, Currency::USD).unwrap();
        let created = DateTime::from_timestamp(second, 0).unwrap();
        BalanceTransaction {
            id: format!("txn_{id}").parse().unwrap(),
            amount,
            fee: Money::zero(Currency::USD),
            net: amount,
            kind: "payment".to_owned(),
            source: source.map(str::to_owned),
            available_on: created,
            created,
        }
    }

    #[test]
    fn a_debit_that_was_taken_back_is_not_awaited_whatever_its_reversal_names() {
        let pending = || {
            vec![
                moved("1", 1_000, Some("py_1"), 1),
                moved("2", 2_000, Some("py_2"), 2),
                moved("3", 2_000, Some("py_3"), 9),
            ]
        };
        // The sources of all payments, including one that is paid by now.
        let sources: HashSet<String> = ["py_0", "py_1", "py_2", "py_3"].map(str::to_owned).into();
        let left = |back: BalanceTransaction| {
            let mut left: Vec<String> = not_reversed(pending(), vec![back], &sources)
                .iter()
                .map(|moved| moved.id.to_string())
                .collect();
            left.sort();
            left
        };
        assert_eq!(left(moved("b", -1_000, Some("py_1"), 5)), ["txn_2", "txn_3"]);
        assert_eq!(left(moved("b", -2_000, Some("pyr_9"), 5)), ["txn_1", "txn_3"]);
        assert_eq!(left(moved("b", -2_000, None, 5)), ["txn_1", "txn_3"]);
        for of_others in [
            moved("b", -3_000, Some("pyr_9"), 5),
            moved("b", -2_000, Some("py_0"), 5),
        ] {
            assert_eq!(left(of_others), ["txn_1", "txn_2", "txn_3"]);
        }
    }

    #[test]
    fn what_is_missing_for_the_wallets_is_told_and_only_what_was_taken_stops() {
        let enough = backing(100, 100, 97);
        assert_eq!((enough.missing(), enough.was_taken()), (None, false));
        let fees = backing(97, 100, 97);
        assert_eq!((fees.missing(), fees.was_taken()), (Some(3.into()), false));
        let taken = backing(96, 100, 97);
        assert_eq!((taken.missing(), taken.was_taken()), (Some(4.into()), true));
        let own = backing(98, 97, 99);
        assert_eq!((own.missing(), own.was_taken()), (None, false));
        for (reserved, missing, taken, kept) in [
            (4, None, false, Some(4)),
            (9, None, false, Some(4)),
            (3, Some(1), false, Some(3)),
            (0, Some(4), true, None),
        ] {
            let kept_back = Backing {
                reserved: Decimal::from(reserved),
                ..backing(96, 100, 97)
            };
            assert_eq!(kept_back.missing(), missing.map(Decimal::from), "{reserved}");
            assert_eq!(kept_back.was_taken(), taken, "{reserved}");
            assert_eq!(kept_back.kept_back(), kept.map(Decimal::from), "{reserved}");
        }
    }
}
