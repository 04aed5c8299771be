//! What changed lately: according to the audit trail, which names every transaction and wallet that was changed, and according to the rows of
//! wallets that any statement has written, whoever sent it.

use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::db::{DbError, Only, PgConn, sql};

/// The maximum number of transactions, and of wallets, in one quick run; the rest is left to the complete one.
const MOST_TRANSACTIONS: i64 = 20_000;
const MOST_WALLETS: i64 = 2_000;

/// Up to where changes have been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// The newest record of the audit trail.
    pub record: i64,
    /// The number of the next database transaction.
    pub xid: i64,
}

/// Where a quick run begins: where the run before the last one ended. Numbers are not committed in their order, so this run also checks what was
/// still under way at the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// Only records after this one; `None` means the last 20,000.
    pub record: Option<i64>,
    /// Only wallets written by this database transaction or a later one; `None` means every wallet, up to the bound.
    pub xid: Option<i64>,
}

/// What a run checks; nothing by default.
#[derive(Default)]
pub(super) struct Changed {
    pub(super) transactions: Vec<Uuid>,
    pub(super) wallets: Vec<Uuid>,
    pub(super) after_record: i64,
    pub(super) transactions_count: i64,
    pub(super) wallets_count: i64,
    pub(super) seen: Seen,
}

#[derive(QueryableByName)]
struct Now {
    #[diesel(sql_type = BigInt)]
    record: i64,
    #[diesel(sql_type = BigInt)]
    xid: i64,
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    transactions: i64,
    #[diesel(sql_type = BigInt)]
    wallets: i64,
}

impl Changed {
    /// Counts everything, for the complete set.
    pub(super) async fn everything(conn: &mut PgConn) -> Result<Self, DbError> {
        let seen = seen(conn).await?;
        let counted: Counted = sql(
            "SELECT (SELECT count(*) FROM wallet_transactions) AS transactions,
                                           (SELECT count(*) FROM wallets) AS wallets",
        )
        .get_result(conn)
        .await?;
        Ok(Self {
            transactions: Vec::new(),
            wallets: Vec::new(),
            after_record: 0,
            transactions_count: counted.transactions,
            wallets_count: counted.wallets,
            seen,
        })
    }

    /// Finds what the trail names after the beginning of the window, and the wallets that were written since.
    pub(super) async fn since(conn: &mut PgConn, window: Window) -> Result<Self, DbError> {
        let seen = seen(conn).await?;
        let after_record = window
            .record
            .unwrap_or_else(|| seen.record.saturating_sub(MOST_TRANSACTIONS));
        let transactions: Only<Array<SqlUuid>, Vec<Uuid>> = sql(
            "SELECT coalesce(array_agg(id), '{}') AS ids FROM (
                SELECT DISTINCT unnest(transaction_ids) AS id FROM audit_log WHERE id > $1 ORDER BY 1 DESC LIMIT $2) recent",
        )
        .bind::<BigInt, _>(after_record)
        .bind::<BigInt, _>(MOST_TRANSACTIONS)
        .get_result(conn)
        .await?;
        // age() counts backwards from the next transaction. After a restore, another cluster has numbers of its own.
        let behind = window
            .xid
            .filter(|xid| *xid <= seen.xid)
            .map_or(i64::MAX, |xid| seen.xid.saturating_sub(xid));
        let wallets: Only<Array<SqlUuid>, Vec<Uuid>> =
            sql("SELECT coalesce(array_agg(id), '{}') AS ids FROM (
                SELECT id FROM wallets WHERE age(xmin) <= $1 ORDER BY age(xmin) LIMIT $2) recent")
            .bind::<BigInt, _>(behind)
            .bind::<BigInt, _>(MOST_WALLETS)
            .get_result(conn)
            .await?;
        let count = |ids: &[Uuid]| i64::try_from(ids.len()).unwrap_or(i64::MAX);
        Ok(Self {
            transactions_count: count(&transactions.value),
            wallets_count: count(&wallets.value),
            transactions: transactions.value,
            wallets: wallets.value,
            after_record,
            seen,
        })
    }
}

async fn seen(conn: &mut PgConn) -> Result<Seen, DbError> {
    let now: Now = sql("SELECT coalesce(max(id), 0) AS record, pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS xid FROM audit_log")
        .get_result(conn)
        .await?;
    Ok(Seen {
        record: now.record,
        xid: now.xid,
    })
}
