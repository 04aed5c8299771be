//! The table `platform_movements`: the part of the balance at Stripe that is the platform's own and no wallet's.
//!
//! Top-ups, payouts to the platform's own bank and Stripe's own charges are recognised by their kind and recorded. What only a person
//! can know (an opening balance, a transfer to a supplier) is recorded by an operator.

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, Bool, Nullable, Numeric, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use rust_decimal::Decimal;
use serde_json::json;
use uuid::Uuid;

use super::ReconcileError;
use super::ask::Asker;
use super::attribute::{Attribution, Attributor};
use super::report::{Cause, Difference, Figure, Subject};
use crate::audit::{self, Actor, AuditRecord};
use crate::budget::CallBudget;
use crate::db::{Db, DbError, Only, PgConn, in_transaction, sql};
use crate::ids::TransactionId;
use crate::money::{Currency, Money};
use crate::stripe::{BalanceTransaction, BalanceTransactionId, CallError, ErrorClass, Lane, StripeCalls};
use crate::transactions::{self, Stage};

/// Kinds of movements that never belong to a wallet
/// (<https://docs.stripe.com/reports/balance-transaction-types>).
const KINDS: [&str; 14] = [
    "payout",
    "payout_cancel",
    "payout_failure",
    "payout_minimum_balance_hold",
    "payout_minimum_balance_release",
    "topup",
    "topup_reversal",
    "stripe_fee",
    "stripe_fx_fee",
    "tax_fee",
    "network_cost",
    "contribution",
    "advance",
    "advance_funding",
];

/// Kinds of movements by which Stripe keeps a part of the balance back as a security, and releases it. It stays the account's money, and cannot be
/// used (<https://docs.stripe.com/changelog/clover/2026-01-28/monitor-reserve-activity-on-balance-transactions>; the first two are older kinds).
pub(super) const RESERVES: [&str; 6] = [
    "reserve_transaction",
    "reserved_funds",
    "reserve_hold",
    "reserve_release",
    "payment_network_reserve_hold",
    "payment_network_reserve_release",
];

/// Returns whether a movement of this kind is the platform's own business.
pub(super) fn is_own(kind: &str) -> bool {
    KINDS.contains(&kind) || RESERVES.contains(&kind)
}

/// Returns whether a movement of this kind is money that the platform takes out of its balance.
pub(super) fn pays_out(kind: &str) -> bool {
    kind == "payout"
}

/// Returns the payouts that took more than the platform had of its own, newest first: what is missing now is attributed to the newest ones.
pub(super) fn takings(
    paid_out: &[BalanceTransaction],
    figures: &[Figure],
    now: DateTime<Utc>,
) -> Vec<Difference> {
    let mut takings = Vec::new();
    for figure in figures {
        // What Stripe keeps back was not paid out.
        let mut lacking = figure.reserved - figure.own;
        // The newest come first.
        for payout in paid_out {
            if payout.net.currency() != figure.currency || lacking <= Decimal::ZERO {
                continue;
            }
            let amount = payout.net.amount();
            lacking += amount;
            takings.push(Difference {
                subject: Subject::Movement {
                    id: payout.id.as_str().to_owned(),
                    kind: payout.kind.clone(),
                    source: payout.source.clone(),
                },
                transaction: None,
                amount,
                currency: figure.currency,
                age: now - payout.created,
                cause: Cause::TakenFromUsers,
                explained: false,
            });
        }
    }
    takings
}

/// Records movements that are the platform's own.
pub(super) async fn record(
    db: &Db,
    movements: &[&BalanceTransaction],
    actor: &Actor,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    if movements.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = movements.iter().map(|movement| movement.id.as_str()).collect();
    let kinds: Vec<&str> = movements.iter().map(|movement| movement.kind.as_str()).collect();
    let nets: Vec<Decimal> = movements.iter().map(|movement| movement.net.amount()).collect();
    let currencies: Vec<&str> = movements
        .iter()
        .map(|movement| movement.net.currency().code())
        .collect();
    let moved: Vec<DateTime<Utc>> = movements.iter().map(|movement| movement.created).collect();
    sql(
        "INSERT INTO platform_movements (id, kind, net, currency, moved_at, recorded_by, recorded_at)
         SELECT m.*, $6, $7 FROM unnest($1, $2, $3, $4, $5) AS m ON CONFLICT (id) DO NOTHING",
    )
    .bind::<Array<Text>, _>(ids)
    .bind::<Array<Text>, _>(kinds)
    .bind::<Array<Numeric>, _>(nets)
    .bind::<Array<Text>, _>(currencies)
    .bind::<Array<Timestamptz>, _>(moved)
    .bind::<Text, _>(actor.to_string())
    .bind::<Timestamptz, _>(now)
    .execute(&mut db.conn().await?)
    .await?;
    Ok(())
}

/// An operator's explanation of a movement.
#[derive(Debug, Clone, Copy)]
pub struct Explanation<'a> {
    /// The movement.
    pub movement: &'a BalanceTransactionId,
    /// Whether it holds even for a user's money, for which nothing more can be booked.
    pub is_forced: bool,
    /// The reason: what the movement was.
    pub reason: &'a str,
}

/// A movement that is the platform's own from now on.
#[derive(Debug)]
pub struct Explained {
    /// The movement.
    pub movement: BalanceTransaction,
    /// The consequence for a user, if it was a user's money.
    pub means: Option<&'static str>,
}

/// Returns the consequence for a user of taking a movement of a user's money as the platform's own.
fn means(movement: &BalanceTransaction) -> &'static str {
    if movement.net.is_negative() {
        "the platform bears it, whoever got the money keeps it, and no wallet pays for it"
    } else {
        "the platform keeps the money, and no wallet is credited with it"
    }
}

/// Returns what an operator can do about money that moved at Stripe for a transaction that has not booked it and will not.
fn fix(movement: &BalanceTransaction) -> &'static str {
    match movement.kind.as_str() {
        "charge" | "payment" => {
            "refund the payment in Stripe's dashboard and have the person pay again, then explain the refund as well"
        }
        "transfer" => {
            "reverse the transfer in Stripe's dashboard while its account has the money, then explain the reversal as well; else deactivate the \
             wallet and agree with the person"
        }
        "refund" | "payment_refund" => {
            "the workers book it when they read its event, if they know its deposit"
        }
        _ => "compare with Stripe's dashboard what it undoes",
    }
}

/// Returns the final stage of a transaction that has booked nothing on the platform's balance; `None` if it is open, or has booked something.
async fn ended_without(db: &Db, id: TransactionId) -> Result<Option<Stage>, DbError> {
    let mut conn = db.conn().await?;
    let found = transactions::find(&mut conn, id).await?;
    let Some(stage) = found
        .map(|found| found.stage)
        .filter(|stage| stage.status().is_final())
    else {
        return Ok(None);
    };
    let row: Only<Bool, bool> = sql(
        "SELECT EXISTS (SELECT 1 FROM ledger_entries WHERE transaction_id = $1 AND account = 'stripe:clearing') AS is_booked",
    )
    .bind::<SqlUuid, _>(id.uuid())
    .get_result(&mut *conn)
    .await?;
    Ok((!row.value).then_some(stage))
}

/// Records, with a reason, that a movement is the platform's own business, and returns the movement.
///
/// # Errors
/// When Stripe does not have it, when it belongs to a transaction, or refunds or disputes one, or when Stripe or the database cannot be reached. If
/// forced, only what a transaction has booked, or may still book, is refused.
pub async fn explain(
    db: &Db,
    calls: &StripeCalls,
    budget: CallBudget,
    what: Explanation<'_>,
    actor: &Actor,
    now: DateTime<Utc>,
) -> Result<Explained, ReconcileError> {
    let Explanation {
        movement: id,
        is_forced,
        reason,
    } = what;
    let question = calls.client().retrieve_balance_transaction(id);
    let movement = match calls.ask(Lane::Maintenance, question).await {
        Err(CallError::Stripe(error)) if error.class == ErrorClass::NotFound => {
            return Err(ReconcileError::NoSuchMovement(id.clone()));
        }
        answer => answer?,
    };
    let asker = Asker { db, calls, budget };
    let attributed = Attributor::new(asker)
        .page(std::slice::from_ref(&movement))
        .await?;
    let (fix, means) = (fix(&movement), means(&movement));
    let refusal = match attributed.as_slice().first() {
        // Only for a transfer: a payment is booked by its event even if it comes too late, and what a failed refund has moved comes back.
        Some(Attribution::Transaction(of)) => match ended_without(db, *of).await? {
            Some(stage) if movement.kind == "transfer" => Some(ReconcileError::EndedWithout {
                movement: id.clone(),
                of: *of,
                stage: stage.as_str(),
                fix,
                means,
            }),
            _ => return Err(ReconcileError::OfTransaction(id.clone(), *of)),
        },
        Some(Attribution::Missed {
            of: Some(of),
            cause: Cause::NotInBooks,
        }) => Some(ReconcileError::NotInBooks {
            movement: id.clone(),
            of: *of,
            fix,
            means,
        }),
        Some(Attribution::Missed { of: Some(of), .. }) => Some(ReconcileError::OfPayment {
            movement: id.clone(),
            of: *of,
            means,
        }),
        _ => None,
    };
    let means = refusal.is_some().then_some(means);
    if !is_forced && let Some(refusal) = refusal {
        return Err(refusal);
    }
    in_transaction!(db, conn => {
        let row = Row { id: id.as_str(), kind: &movement.kind, net: movement.net, moved_at: movement.created };
        write(conn, &row, actor, reason, now).await
    })?;
    Ok(Explained { movement, means })
}

/// Withdraws, with a reason, an operator's explanation of a movement; returns whether there was one.
///
/// # Errors
/// When the database cannot be reached.
pub async fn forget_explained(
    db: &Db,
    id: &BalanceTransactionId,
    actor: &Actor,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    in_transaction!(db, conn => {
        // A movement that was recognised by its kind has no reason, and would be recognised again.
        let gone = sql("DELETE FROM platform_movements WHERE id = $1 AND reason IS NOT NULL")
            .bind::<Text, _>(id.as_str())
            .execute(conn)
            .await?;
        if gone > 0 {
            let entry = AuditRecord {
                detail: json!({ "id": id.as_str(), "reason": reason }),
                ..AuditRecord::new(now, actor, "forget_explained_movement")
            };
            audit::record(conn, &entry).await?;
        }
        Ok::<_, DbError>(gone > 0)
    })
}

/// Withdraws the explanations of these movements, if there are any: each belongs to this transaction, which has booked something on the platform's
/// balance by now. What an operator has given up was booked after all, and must count once.
pub(super) async fn leave_out(
    db: &Db,
    booked: &[(&str, TransactionId)],
    actor: &Actor,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    if booked.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = booked.iter().map(|(id, _)| *id).collect();
    let transactions: Vec<Uuid> = booked.iter().map(|(_, of)| of.uuid()).collect();
    in_transaction!(db, conn => {
        let gone: Vec<Only<Text, String>> =
            sql("DELETE FROM platform_movements USING unnest($1, $2) AS booked (movement, transaction_id)
                  WHERE id = booked.movement AND reason IS NOT NULL
                    AND EXISTS (SELECT 1 FROM ledger_entries e WHERE e.transaction_id = booked.transaction_id AND e.account = 'stripe:clearing')
                 RETURNING id")
                .bind::<Array<Text>, _>(&ids)
                .bind::<Array<SqlUuid>, _>(&transactions)
                .load(conn)
                .await?;
        for row in &gone {
            let is_it = |(id, _): &&(&str, TransactionId)| *id == row.value;
            let of: Vec<TransactionId> = booked.iter().find(is_it).map(|(_, of)| *of).into_iter().collect();
            let entry = AuditRecord {
                transactions: &of,
                detail: json!({ "id": row.value, "reason": "it is of a transaction by now" }),
                ..AuditRecord::new(now, actor, "forget_explained_movement")
            };
            audit::record(conn, &entry).await?;
        }
        Ok::<_, DbError>(())
    })
}

/// Returns what the platform owned on its balance before the ledger began, if an operator has recorded it.
///
/// # Errors
/// When the database cannot be reached.
pub async fn opening(db: &Db, currency: Currency) -> Result<Option<Decimal>, DbError> {
    find_opening(&mut *db.conn().await?, &opening_id(currency)).await
}

fn opening_id(currency: Currency) -> String {
    format!("opening:{}", currency.code())
}

async fn find_opening(conn: &mut PgConn, id: &str) -> Result<Option<Decimal>, DbError> {
    let rows: Vec<Only<Numeric, Decimal>> = sql("SELECT net FROM platform_movements WHERE id = $1")
        .bind::<Text, _>(id)
        .load(conn)
        .await?;
    Ok(rows.as_slice().first().map(|row| row.value))
}

/// Records, with a reason, what the platform owned on its balance before the ledger began; the last record counts. Returns the one before.
///
/// # Errors
/// When the database cannot be reached.
pub async fn record_opening(
    db: &Db,
    amount: Money,
    actor: &Actor,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<Option<Decimal>, DbError> {
    let id = opening_id(amount.currency());
    in_transaction!(db, conn => {
        let before = find_opening(conn, &id).await?;
        write(conn, &Row { id: &id, kind: "opening", net: amount, moved_at: now }, actor, reason, now).await?;
        Ok::<_, DbError>(before)
    })
}

struct Row<'a> {
    id: &'a str,
    kind: &'a str,
    net: Money,
    moved_at: DateTime<Utc>,
}

async fn write(
    conn: &mut PgConn,
    row: &Row<'_>,
    actor: &Actor,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sql(
        "INSERT INTO platform_movements (id, kind, net, currency, moved_at, reason, recorded_by, recorded_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (id) DO UPDATE SET net = excluded.net, reason = excluded.reason, recorded_by = excluded.recorded_by,
                                        recorded_at = excluded.recorded_at",
    )
    .bind::<Text, _>(row.id)
    .bind::<Text, _>(row.kind)
    .bind::<Numeric, _>(row.net.amount())
    .bind::<Text, _>(row.net.currency().code())
    .bind::<Timestamptz, _>(row.moved_at)
    .bind::<Nullable<Text>, _>(Some(reason))
    .bind::<Text, _>(actor.to_string())
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    let entry = AuditRecord {
        detail: json!({ "id": row.id, "net": row.net.amount(), "currency": row.net.currency(), "reason": reason }),
        ..AuditRecord::new(now, actor, "explain_movement")
    };
    audit::record(conn, &entry).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payout(id: &str, minor: i64) -> BalanceTransaction {
        let net = Money::from_minor(minor, Currency::USD).unwrap();
        BalanceTransaction {
            id: format!("txn_{id}").parse().unwrap(),
            amount: net,
            fee: Money::from_minor(0, Currency::USD).unwrap(),
            net,
            kind: "payout".to_owned(),
            source: None,
            available_on: DateTime::UNIX_EPOCH,
            created: DateTime::UNIX_EPOCH,
        }
    }

    fn taken(own: i64) -> Vec<String> {
        let figure = Figure {
            own: Decimal::new(own, 2),
            ..Figure::blank(Currency::USD)
        };
        // The newest first.
        let paid_out = [payout("3", -500), payout("2", -500), payout("1", -500)];
        let takings = takings(&paid_out, &[figure], DateTime::UNIX_EPOCH);
        assert!(
            takings
                .iter()
                .all(|taking| !taking.explained && taking.cause == Cause::TakenFromUsers)
        );
        takings.iter().map(Difference::about).collect()
    }

    #[test]
    fn a_payout_of_the_platform_s_own_money_is_its_own_and_one_of_users_money_is_not() {
        assert_eq!(taken(0), Vec::<String>::new());
        assert_eq!(taken(100), Vec::<String>::new());
        assert_eq!(taken(-1), ["txn_3"]);
        assert_eq!(taken(-500), ["txn_3"]);
        assert_eq!(taken(-501), ["txn_3", "txn_2"]);
        assert_eq!(taken(-9_900), ["txn_3", "txn_2", "txn_1"]);
    }
}
