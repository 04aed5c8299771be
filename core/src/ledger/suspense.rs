//! Money that was received and belongs to nobody yet.

use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{Bool, Numeric, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::db::{DbError, PgConn, sql};
use crate::ids::TransactionId;
use crate::money::Money;

/// What of one transaction lies in suspense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspended {
    /// The transaction.
    pub transaction: TransactionId,
    /// How much, in the currency in which it came.
    pub amount: Money,
    /// Since when.
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

/// The sums in suspense, as constant text.
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

/// Everything in suspense, the oldest first.
///
/// # Errors
/// When the database cannot be reached, or a currency is none of ours.
pub async fn suspended(conn: &mut PgConn) -> Result<Vec<Suspended>, DbError> {
    let rows: Vec<Row> = sql(sums!("")).load(conn).await?;
    rows.into_iter().map(Suspended::try_from).collect()
}

/// A refund of what lay in suspense that is on its way to the payer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BegunReturn {
    /// The transaction.
    pub transaction: TransactionId,
    /// `re_…`
    pub refund: String,
    /// Since when.
    pub since: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct BegunRow {
    #[diesel(sql_type = SqlUuid)]
    transaction_id: Uuid,
    #[diesel(sql_type = Text)]
    external_id: String,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
}

/// The refunds of what lay in suspense that are not final, the oldest first.
///
/// # Errors
/// When the database cannot be reached.
pub async fn begun_returns(conn: &mut PgConn) -> Result<Vec<BegunReturn>, DbError> {
    let rows: Vec<BegunRow> = sql(
        "SELECT transaction_id, external_id, created_at FROM external_refs b
          WHERE kind = 'refund_begun'
            AND NOT EXISTS (SELECT 1 FROM external_refs e WHERE e.external_id = b.external_id AND e.kind IN ('refund', 'return'))
          ORDER BY created_at, external_id",
    )
    .load(conn)
    .await?;
    let of = |row: BegunRow| BegunReturn {
        transaction: TransactionId::from_uuid(row.transaction_id),
        refund: row.external_id,
        since: row.created_at,
    };
    Ok(rows.into_iter().map(of).collect())
}

/// What of this transaction lies in suspense: one amount for each currency in which something came.
///
/// # Errors
/// When the database cannot be reached, or a currency is none of ours.
pub async fn suspended_of(conn: &mut PgConn, transaction: TransactionId) -> Result<Vec<Suspended>, DbError> {
    let rows: Vec<Row> = sql(sums!("AND transaction_id = $1"))
        .bind::<SqlUuid, _>(transaction.uuid())
        .load(conn)
        .await?;
    rows.into_iter().map(Suspended::try_from).collect()
}

#[derive(QueryableByName)]
struct HasLeft {
    #[diesel(sql_type = Bool)]
    has_left: bool,
}

/// Whether anything that came to lie in suspense for this transaction has left it: by a refund, a dispute or a decision, also when it came back.
///
/// # Errors
/// When the database cannot be reached.
pub async fn has_left_suspense(conn: &mut PgConn, transaction: TransactionId) -> Result<bool, DbError> {
    let row: HasLeft = sql(
        "SELECT EXISTS (SELECT 1 FROM ledger_entries
                         WHERE account = 'platform:suspense' AND transaction_id = $1 AND amount < 0) AS has_left",
    )
    .bind::<SqlUuid, _>(transaction.uuid())
    .get_result(conn)
    .await?;
    Ok(row.has_left)
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
