//! Money that was received and has no owner yet.

use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{Bool, Numeric, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::db::{DbError, Only, PgConn, sql};
use crate::ids::TransactionId;
use crate::money::Money;

/// The amount of one transaction, in one currency, that lies in suspense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspended {
    /// The transaction.
    pub transaction: TransactionId,
    /// The amount, in the currency in which it came.
    pub amount: Money,
    /// When the first of it came.
    pub since: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    transaction_id: Uuid,
    #[diesel(sql_type = Text)]
    currency: String,
    #[diesel(sql_type = Numeric)]
    amount: Decimal,
    #[diesel(sql_type = Timestamptz)]
    since: DateTime<Utc>,
}

/// The query for the sums in suspense, as constant text.
macro_rules! sums {
    ($of:literal) => {
        concat!(
            "SELECT transaction_id, currency, sum(amount) AS amount, min(created_at) AS since
               FROM ledger_entries WHERE account = 'platform:suspense' ",
            $of,
            " GROUP BY transaction_id, currency HAVING sum(amount) <> 0 ORDER BY since"
        )
    };
}

/// Returns everything in suspense, the oldest first.
///
/// # Errors
/// When the database cannot be reached, or a row is inconsistent.
pub async fn suspended(conn: &mut PgConn) -> Result<Vec<Suspended>, DbError> {
    let rows: Vec<Row> = sql(sums!("")).load(conn).await?;
    rows.into_iter().map(Suspended::try_from).collect()
}

/// A refund to the payer, under way, of money that lay in suspense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingReturn {
    /// The transaction.
    pub transaction: TransactionId,
    /// `re_…`
    pub refund: String,
    /// When it was recorded.
    pub since: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct PendingReturnRow {
    #[diesel(sql_type = SqlUuid)]
    transaction_id: Uuid,
    #[diesel(sql_type = Text)]
    external_id: String,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
}

/// Returns the refunds of money from suspense that are not final, the oldest first.
///
/// # Errors
/// When the database cannot be reached.
pub async fn begun_returns(conn: &mut PgConn) -> Result<Vec<PendingReturn>, DbError> {
    let rows: Vec<PendingReturnRow> = sql(
        "SELECT transaction_id, external_id, created_at FROM external_refs b
          WHERE kind = 'refund_begun'
            AND NOT EXISTS (SELECT 1 FROM external_refs e WHERE e.external_id = b.external_id AND e.kind IN ('refund', 'return'))
          ORDER BY created_at, external_id",
    )
    .load(conn)
    .await?;
    let of = |row: PendingReturnRow| PendingReturn {
        transaction: TransactionId::from_uuid(row.transaction_id),
        refund: row.external_id,
        since: row.created_at,
    };
    Ok(rows.into_iter().map(of).collect())
}

/// Returns what of this transaction lies in suspense: one amount for each currency in which something came.
///
/// # Errors
/// When the database cannot be reached, or a row is inconsistent.
pub async fn suspended_of(conn: &mut PgConn, transaction: TransactionId) -> Result<Vec<Suspended>, DbError> {
    let rows: Vec<Row> = sql(sums!("AND transaction_id = $1"))
        .bind::<SqlUuid, _>(transaction.uuid())
        .load(conn)
        .await?;
    rows.into_iter().map(Suspended::try_from).collect()
}

/// Returns whether any money of this transaction has ever left suspense, by a refund, a dispute or a decision, even if it came back.
///
/// # Errors
/// When the database cannot be reached.
pub async fn has_left_suspense(conn: &mut PgConn, transaction: TransactionId) -> Result<bool, DbError> {
    let row: Only<Bool, bool> = sql(
        "SELECT EXISTS (SELECT 1 FROM ledger_entries
                         WHERE account = 'platform:suspense' AND transaction_id = $1 AND amount < 0) AS has_left",
    )
    .bind::<SqlUuid, _>(transaction.uuid())
    .get_result(conn)
    .await?;
    Ok(row.value)
}

impl TryFrom<Row> for Suspended {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        let wrong = |column| DbError::inconsistent("ledger_entries", column, row.transaction_id);
        let currency = row.currency.parse().map_err(|_| wrong("currency"))?;
        Ok(Self {
            transaction: TransactionId::from_uuid(row.transaction_id),
            amount: Money::new(row.amount, currency).map_err(|_| wrong("amount"))?,
            since: row.since,
        })
    }
}
