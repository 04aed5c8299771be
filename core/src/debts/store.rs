//! Reading debts, and what caused them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{Array, Nullable, Numeric, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::db::{DbError, PgConn, sql};
use crate::ids::{TransactionId, UserId, WalletId};
use crate::money::{Currency, Money};

/// The debt recorded in one wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debt {
    /// The person who owes it.
    pub user: UserId,
    /// The wallet that caused it.
    pub wallet: WalletId,
    /// The amount.
    pub amount: Money,
}

/// A transaction that caused a part of a debt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause {
    /// The dispute, or the refund from outside.
    pub transaction: TransactionId,
    /// The part of the debt that it still accounts for: the oldest cause is paid first.
    pub amount: Money,
    /// When that transaction was opened.
    pub since: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct DebtRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    user_id: Uuid,
    #[diesel(sql_type = Text)]
    currency: String,
    #[diesel(sql_type = Numeric)]
    owed_balance: Decimal,
}

impl TryFrom<DebtRow> for Debt {
    type Error = DbError;

    fn try_from(row: DebtRow) -> Result<Self, DbError> {
        let wrong = |column| DbError::inconsistent("wallets", column, row.id);
        let currency: Currency = row.currency.parse().map_err(|_| wrong("currency"))?;
        Ok(Self {
            user: UserId::from_uuid(row.user_id),
            wallet: WalletId::from_uuid(row.id),
            amount: Money::new(row.owed_balance, currency).map_err(|_| wrong("owed_balance"))?,
        })
    }
}

/// Reads every debt, or those of one person in one currency. The debts of a person in a currency stand together, the greatest first.
async fn read(conn: &mut PgConn, of: Option<(UserId, Currency)>) -> Result<Vec<Debt>, DbError> {
    let rows: Vec<DebtRow> = sql("SELECT id, user_id, currency, owed_balance FROM wallets
          WHERE owed_balance > 0 AND ($1 IS NULL OR (user_id = $1 AND currency = $2))
          ORDER BY currency, user_id, owed_balance DESC, id")
    .bind::<Nullable<SqlUuid>, _>(of.map(|(user, _)| user.uuid()))
    .bind::<Nullable<Text>, _>(of.map(|(_, currency)| currency.code()))
    .load(conn)
    .await?;
    rows.into_iter().map(Debt::try_from).collect()
}

/// Returns every debt.
///
/// # Errors
/// When the database cannot be reached, or a row is inconsistent.
pub async fn list(conn: &mut PgConn) -> Result<Vec<Debt>, DbError> {
    read(conn, None).await
}

/// Returns for each wallet what its owner owes in the wallet's currency, in all wallets together; wallets of those who owe nothing are left out.
///
/// # Errors
/// When the database cannot be reached, or a row is inconsistent.
pub async fn of_owners(conn: &mut PgConn, ids: &[WalletId]) -> Result<HashMap<WalletId, Money>, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows: Vec<DebtRow> = sql("SELECT seen.id, seen.user_id, seen.currency, sum(owing.owed_balance) AS owed_balance FROM wallets AS seen
           JOIN wallets AS owing ON owing.user_id = seen.user_id AND owing.currency = seen.currency
          WHERE seen.id = ANY($1) AND owing.owed_balance > 0
          GROUP BY seen.id")
    .bind::<Array<SqlUuid>, _>(ids)
    .load(conn)
    .await?;
    let owed = |row| Debt::try_from(row).map(|debt| (debt.wallet, debt.amount));
    rows.into_iter().map(owed).collect()
}

/// Returns what a person owes in a currency, separately for each wallet.
///
/// # Errors
/// When the database cannot be reached, or a row is inconsistent.
pub async fn of_person(conn: &mut PgConn, user: UserId, currency: Currency) -> Result<Vec<Debt>, DbError> {
    read(conn, Some((user, currency))).await
}

#[derive(QueryableByName)]
struct CauseRow {
    #[diesel(sql_type = SqlUuid)]
    wallet: Uuid,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Numeric)]
    missing: Decimal,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
}

/// Returns what caused the debts of these wallets, by one statement. The causes of a wallet come newest first, each with what the wallet could not
/// cover of it, until the whole debt is explained. The oldest of them is paid next.
///
/// # Errors
/// When the database cannot be reached, or a row is inconsistent.
pub async fn causes(
    conn: &mut PgConn,
    owed: &[(WalletId, Money)],
) -> Result<HashMap<WalletId, Vec<Cause>>, DbError> {
    if owed.is_empty() {
        return Ok(HashMap::new());
    }
    let wallets: Vec<Uuid> = owed.iter().map(|(wallet, _)| wallet.uuid()).collect();
    let rows: Vec<CauseRow> = sql(
        "SELECT owing.wallet, cause.* FROM unnest($1) AS owing (wallet) CROSS JOIN LATERAL (
         SELECT id, missing, created_at FROM (
             SELECT t.id, t.created_at,
                    least(coalesce(t.claimed_amount, t.amount) - coalesce(t.held_amount, 0),
                          -- What came back of it is given to the wallet, and pays debts like every credit.
                          coalesce(t.claimed_amount, t.amount)
                          - (SELECT coalesce(sum(back.amount), 0) FROM wallet_transactions back
                              WHERE back.related_transaction_id = t.id AND back.flow IN ('refund_return', 'dispute_return')
                                AND back.status = 'completed')) AS missing
               FROM wallet_transactions t
              WHERE t.wallet_id = owing.wallet AND t.flow IN ('dispute', 'dispute_loss', 'outside_refund')
                AND t.status IN ('processing', 'completed')) each
          WHERE missing > 0
          ORDER BY id DESC LIMIT 100) cause
         ORDER BY owing.wallet, cause.id DESC",
    )
    .bind::<Array<SqlUuid>, _>(wallets)
    .load(conn)
    .await?;
    let mut left: HashMap<WalletId, Money> = owed.iter().copied().collect();
    let mut causes: HashMap<WalletId, Vec<Cause>> = HashMap::new();
    for row in rows {
        let wallet = WalletId::from_uuid(row.wallet);
        let Some(left) = left.get_mut(&wallet).filter(|left| left.is_positive()) else {
            continue;
        };
        let wrong = |_| DbError::inconsistent("wallet_transactions", "amount", row.id);
        let missing = Money::new(row.missing, left.currency()).map_err(wrong)?;
        let amount = missing.at_most(*left).map_err(wrong)?;
        *left = left.checked_sub(amount).map_err(wrong)?;
        causes.entry(wallet).or_default().push(Cause {
            transaction: TransactionId::from_uuid(row.id),
            amount,
            since: row.created_at,
        });
    }
    Ok(causes)
}
