//! What changed lately: by the audit trail, which names every transaction and wallet it changed, and by the rows of wallets that any
//! statement has written, whoever sent it.

use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::db::{DbError, PgConn, sql};

/// Most transactions and most wallets of one quick run; the rest is left to the complete one.
const MOST_TRANSACTIONS: i64 = 20_000;
const MOST_WALLETS: i64 = 2_000;

/// Until where changes have been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// The newest record of the audit trail.
    pub record: i64,
    /// The next database transaction.
    pub xid: i64,
}

/// From where a quick run looks. It is where the run before the last one ended: numbers are not committed in their order, and so
/// whatever was still under way at the last run is looked at now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// Records after this one; none means the last few thousand.
    pub record: Option<i64>,
    /// Wallets written by this database transaction or later; none means every wallet, up to the bound.
    pub xid: Option<i64>,
}

/// What a run looks at; nothing by default.
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

#[derive(QueryableByName)]
struct Ids {
    #[diesel(sql_type = Array<SqlUuid>)]
    ids: Vec<Uuid>,
}

impl Changed {
    /// Everything: only counted.
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

    /// What the trail names after the window's beginning, and the wallets that were written since.
    pub(super) async fn since(conn: &mut PgConn, window: Window) -> Result<Self, DbError> {
        let seen = seen(conn).await?;
        let after_record = window
            .record
            .unwrap_or_else(|| seen.record.saturating_sub(MOST_TRANSACTIONS));
        let transactions: Ids = sql(
            "SELECT coalesce(array_agg(id), '{}') AS ids FROM (
                SELECT DISTINCT unnest(transaction_ids) AS id FROM audit_log WHERE id > $1 ORDER BY 1 DESC LIMIT $2) recent",
        )
        .bind::<BigInt, _>(after_record)
        .bind::<BigInt, _>(MOST_TRANSACTIONS)
        .get_result(conn)
        .await?;
        // age() counts from the next transaction backwards. Another cluster, after a restore, has numbers of its own.
        let behind = window
            .xid
            .filter(|xid| *xid <= seen.xid)
            .map_or(i64::MAX, |xid| seen.xid.saturating_sub(xid));
        let wallets: Ids = sql("SELECT coalesce(array_agg(id), '{}') AS ids FROM (
                SELECT id FROM wallets WHERE age(xmin) <= $1 ORDER BY age(xmin) LIMIT $2) recent")
        .bind::<BigInt, _>(behind)
        .bind::<BigInt, _>(MOST_WALLETS)
        .get_result(conn)
        .await?;
        let count = |ids: &[Uuid]| i64::try_from(ids.len()).unwrap_or(i64::MAX);
        Ok(Self {
            transactions_count: count(&transactions.ids),
            wallets_count: count(&wallets.ids),
            transactions: transactions.ids,
            wallets: wallets.ids,
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
