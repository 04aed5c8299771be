//! Posting: the only statement in the system that changes a balance.

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, Nullable, Numeric, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{Leg, LockedBalances};
use crate::db::{DbError, PgConn, sql};
use crate::ids::{IdSource, TransactionId};

/// Writes a batch of postings, which [`LockedBalances::book`] has already accepted on the locked wallets: all entries by one statement,
/// all balances by another. The caller writes statuses, timeline and ends of jobs in the same database transaction.
pub(crate) async fn post(
    conn: &mut PgConn,
    ids: &dyn IdSource,
    now: DateTime<Utc>,
    balances: &LockedBalances,
    postings: &[(TransactionId, Vec<Leg>)],
) -> Result<(), DbError> {
    write_entries(conn, ids, now, postings).await?;
    write_balances(conn, now, balances).await
}

async fn write_entries(
    conn: &mut PgConn,
    ids: &dyn IdSource,
    now: DateTime<Utc>,
    postings: &[(TransactionId, Vec<Leg>)],
) -> Result<(), DbError> {
    let legs: Vec<(TransactionId, &Leg)> = postings
        .iter()
        .flat_map(|(transaction, legs)| legs.iter().map(|leg| (*transaction, leg)))
        .collect();
    if legs.is_empty() {
        return Ok(());
    }
    let transactions: Vec<Uuid> = legs.iter().map(|(transaction, _)| transaction.uuid()).collect();
    let entry_ids: Vec<Uuid> = legs.iter().map(|_| ids.next()).collect();
    let wallets: Vec<Option<Uuid>> = legs
        .iter()
        .map(|(_, leg)| leg.account.wallet().map(|id| id.uuid()))
        .collect();
    let accounts: Vec<&str> = legs.iter().map(|(_, leg)| leg.account.as_str()).collect();
    let amounts: Vec<Decimal> = legs.iter().map(|(_, leg)| leg.amount.amount()).collect();
    let currencies: Vec<&str> = legs.iter().map(|(_, leg)| leg.amount.currency().code()).collect();
    sql(
        "INSERT INTO ledger_entries (transaction_id, id, wallet_id, account, amount, currency, created_at)
         SELECT e.*, $7 FROM unnest($1, $2, $3, $4, $5, $6) AS e",
    )
    .bind::<Array<SqlUuid>, _>(transactions)
    .bind::<Array<SqlUuid>, _>(entry_ids)
    .bind::<Array<Nullable<SqlUuid>>, _>(wallets)
    .bind::<Array<Text>, _>(accounts)
    .bind::<Array<Numeric>, _>(amounts)
    .bind::<Array<Text>, _>(currencies)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(())
}

async fn write_balances(
    conn: &mut PgConn,
    now: DateTime<Utc>,
    balances: &LockedBalances,
) -> Result<(), DbError> {
    let (mut ids, mut available, mut held, mut owed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (id, balance) in balances.changed() {
        ids.push(id.uuid());
        available.push(balance.available.amount());
        held.push(balance.held.amount());
        owed.push(balance.owed.amount());
    }
    if ids.is_empty() {
        return Ok(());
    }
    sql(
        "UPDATE wallets SET balance = n.available, frozen_balance = n.held, owed_balance = n.owed, updated_at = $5
           FROM unnest($1, $2, $3, $4) AS n (id, available, held, owed) WHERE wallets.id = n.id",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Array<Numeric>, _>(available)
    .bind::<Array<Numeric>, _>(held)
    .bind::<Array<Numeric>, _>(owed)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(())
}
