//! Locking transactions for a settlement.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{Transaction, TransactionRow};
use crate::db::schema::wallet_transactions;
use crate::db::{DbError, Patience, PgConn};
use crate::ids::TransactionId;

/// Locks and reads these transactions, in the order of their ids.
///
/// # Errors
/// If the database cannot be reached or a row is inconsistent.
pub(crate) async fn lock(
    conn: &mut PgConn,
    wanted: &HashSet<TransactionId>,
    patience: Patience,
) -> Result<HashMap<TransactionId, Transaction>, DbError> {
    let ids: Vec<Uuid> = wanted.iter().map(|id| id.uuid()).collect();
    let (Some(least), Some(most)) = (ids.iter().min().copied(), ids.iter().max().copied()) else {
        return Ok(HashMap::new());
    };
    let all = wallet_transactions::table
        .filter(wallet_transactions::id.eq_any(ids))
        // PostgreSQL prunes partitions by the bounds, but not by the list.
        .filter(wallet_transactions::id.between(least, most))
        .order(wallet_transactions::id.asc())
        .select(TransactionRow::as_select())
        .for_no_key_update();
    let rows: Vec<TransactionRow> = match patience {
        Patience::Wait => all.load(conn).await?,
        Patience::PassBy => all.skip_locked().load(conn).await?,
    };
    by_id(rows)
}

/// Locks and reads the transactions that relate to these originals.
///
/// # Errors
/// If the database cannot be reached or a row is inconsistent.
pub(crate) async fn lock_related_to(
    conn: &mut PgConn,
    originals: &HashSet<TransactionId>,
) -> Result<HashMap<TransactionId, Transaction>, DbError> {
    let ids: Vec<Uuid> = originals.iter().map(|id| id.uuid()).collect();
    let rows: Vec<TransactionRow> = wallet_transactions::table
        .filter(wallet_transactions::related_transaction_id.eq_any(ids))
        .order(wallet_transactions::id.asc())
        .select(TransactionRow::as_select())
        .for_no_key_update()
        .load(conn)
        .await?;
    by_id(rows)
}

/// Returns those of these ids that belong to a transaction.
///
/// # Errors
/// If the database cannot be reached.
pub(crate) async fn existing(
    conn: &mut PgConn,
    ids: impl IntoIterator<Item = TransactionId>,
) -> Result<HashSet<TransactionId>, DbError> {
    let ids: Vec<Uuid> = ids.into_iter().map(TransactionId::uuid).collect();
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let there: Vec<Uuid> = wallet_transactions::table
        .filter(wallet_transactions::id.eq_any(ids))
        .select(wallet_transactions::id)
        .load(conn)
        .await?;
    Ok(there.into_iter().map(TransactionId::from_uuid).collect())
}

fn by_id(rows: Vec<TransactionRow>) -> Result<HashMap<TransactionId, Transaction>, DbError> {
    rows.into_iter()
        .map(|row| {
            let transaction = Transaction::try_from(row)?;
            Ok((transaction.id, transaction))
        })
        .collect()
}
