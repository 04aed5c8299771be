//! Locking the balances of wallets for a settlement: the wallets that it names, and those that it involves because their owners owe.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Numeric, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::db::schema::wallets;
use crate::db::{DbError, Patience, PgConn, sql};
use crate::ids::{UserId, WalletId};
use crate::ledger::Balance;
use crate::money::{Currency, Money};

#[derive(QueryableByName)]
struct WalletRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    user_id: Uuid,
    #[diesel(sql_type = Text)]
    currency: String,
    #[diesel(sql_type = Numeric)]
    balance: Decimal,
    #[diesel(sql_type = Numeric)]
    frozen_balance: Decimal,
    #[diesel(sql_type = Numeric)]
    owed_balance: Decimal,
    #[diesel(sql_type = Bool)]
    is_active: bool,
}

/// A person and currency of which a wallet is not locked that should be.
#[derive(QueryableByName)]
struct Missed {
    #[diesel(sql_type = SqlUuid)]
    user_id: Uuid,
    #[diesel(sql_type = Text)]
    currency: String,
}

/// The statement that reads the wallets in the order of their ids, as constant text. A person who owes nothing has no row in the index of
/// debts, and costs one look-up there.
macro_rules! read_wallets {
    ($lock:literal) => {
        concat!(
            "WITH people AS MATERIALIZED (SELECT DISTINCT user_id, currency FROM wallets WHERE id = ANY($1)),
             wanted AS MATERIALIZED (
                SELECT unnest($1) AS id
                 UNION SELECT w.id FROM people p JOIN wallets w USING (user_id, currency) WHERE w.owed_balance > 0
                 UNION SELECT w.id FROM wallets o JOIN wallets w USING (user_id, currency) WHERE o.id = ANY($2))
             SELECT id, user_id, currency, balance, frozen_balance, owed_balance, is_active
               FROM wallets WHERE id IN (SELECT id FROM wanted) ORDER BY id ",
            $lock
        )
    };
}

/// Locks and reads these wallets and those in which their owners owe, in the order of their ids; of the owners of `may_owe`, all wallets in the
/// currency. Also returns those of `wallets` to leave out, because another session holds them or another wallet that they need.
///
/// # Errors
/// When the database cannot be reached or a row is inconsistent; [`DbError::Overtaken`] when a debt appeared in the meantime.
pub(crate) async fn lock_balances(
    conn: &mut PgConn,
    wallets: &HashSet<WalletId>,
    may_owe: &HashSet<WalletId>,
    patience: Patience,
) -> Result<(HashMap<WalletId, Balance>, HashSet<WalletId>), DbError> {
    let uuids = |ids: &HashSet<WalletId>| -> Vec<Uuid> { ids.iter().map(|id| id.uuid()).collect() };
    let (ids, may_owe) = (uuids(wallets), uuids(may_owe));
    if ids.is_empty() {
        return Ok((HashMap::new(), HashSet::new()));
    }
    // Not FOR UPDATE: accepting a request reads the wallet's key for its foreign key and must not wait for a posting.
    let statement = if patience == Patience::PassBy {
        sql(read_wallets!("FOR NO KEY UPDATE SKIP LOCKED"))
    } else {
        sql(read_wallets!("FOR NO KEY UPDATE"))
    };
    let rows: Vec<WalletRow> = statement
        .bind::<Array<SqlUuid>, _>(&ids)
        .bind::<Array<SqlUuid>, _>(&may_owe)
        .load(conn)
        .await?;
    let missed = missed(conn, &ids, &may_owe, &rows).await?;
    let mut held = HashSet::new();
    if patience == Patience::PassBy {
        held.extend(passed_by(conn, &ids, &rows).await?);
        let theirs = rows
            .iter()
            .filter(|row| missed.contains(&(row.user_id, row.currency.clone())));
        held.extend(theirs.map(|row| WalletId::from_uuid(row.id)));
    } else if !missed.is_empty() {
        return Err(DbError::Overtaken);
    }
    Ok((balances(rows)?, held))
}

/// Finds the debts and wallets that were added between the read and the locks; if there are any, everything is repeated. A debt is written with all
/// wallets of its owner locked, so nothing is credited beside it; a wallet added even later is checked at its first credit.
async fn missed(
    conn: &mut PgConn,
    ids: &[Uuid],
    may_owe: &[Uuid],
    rows: &[WalletRow],
) -> Result<HashSet<(Uuid, String)>, DbError> {
    let locked: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let missed: Vec<Missed> = sql(
        "WITH people AS MATERIALIZED (SELECT DISTINCT user_id, currency FROM wallets WHERE id = ANY($1))
         SELECT DISTINCT user_id, currency FROM (
                SELECT w.id, user_id, currency FROM people p JOIN wallets w USING (user_id, currency) WHERE w.owed_balance > 0
                 UNION SELECT w.id, user_id, currency FROM wallets o JOIN wallets w USING (user_id, currency) WHERE o.id = ANY($2)) found
          WHERE id <> ALL($3)",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Array<SqlUuid>, _>(may_owe)
    .bind::<Array<SqlUuid>, _>(locked)
    .load(conn)
    .await?;
    Ok(missed
        .into_iter()
        .map(|one| (one.user_id, one.currency))
        .collect())
}

/// Returns those of the wallets that exist and could not be locked.
async fn passed_by(conn: &mut PgConn, ids: &[Uuid], rows: &[WalletRow]) -> Result<Vec<WalletId>, DbError> {
    let missing: Vec<Uuid> = ids
        .iter()
        .filter(|id| rows.iter().all(|row| row.id != **id))
        .copied()
        .collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let there: Vec<Uuid> = wallets::table
        .filter(wallets::id.eq_any(missing))
        .select(wallets::id)
        .load(conn)
        .await?;
    Ok(there.into_iter().map(WalletId::from_uuid).collect())
}

fn balances(rows: Vec<WalletRow>) -> Result<HashMap<WalletId, Balance>, DbError> {
    let mut balances = HashMap::with_capacity(rows.len());
    for row in rows {
        let wrong = |column| DbError::inconsistent("wallets", column, row.id);
        let currency: Currency = row.currency.parse().map_err(|_| wrong("currency"))?;
        let balance = Balance {
            user_id: UserId::from_uuid(row.user_id),
            is_active: row.is_active,
            available: Money::new(row.balance, currency).map_err(|_| wrong("balance"))?,
            held: Money::new(row.frozen_balance, currency).map_err(|_| wrong("frozen_balance"))?,
            owed: Money::new(row.owed_balance, currency).map_err(|_| wrong("owed_balance"))?,
        };
        balances.insert(WalletId::from_uuid(row.id), balance);
    }
    Ok(balances)
}
