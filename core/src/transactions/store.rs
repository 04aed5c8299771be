//! Reading transactions and adding accepted ones. Their status is written by [`crate::settle`] alone.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Interval, Nullable, Numeric, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{CancelRequest, Flow, Stage, Transaction, TransactionRow, TransactionStatus, TransactionType};
use crate::db::schema::{wallet_transactions, wallets};
use crate::db::{DbError, Only, PgConn, sql};
use crate::ids::{TransactionId, UserId, WalletId};
use crate::ledger::Account;

/// Records the request to cancel a transaction, until it is carried out or too late. Only the first request counts: returns `false` if
/// there was one before.
///
/// # Errors
/// If the database cannot be reached.
pub async fn request_cancel(
    conn: &mut PgConn,
    id: TransactionId,
    request: CancelRequest,
) -> Result<bool, DbError> {
    use wallet_transactions as t;
    let remembered = diesel::update(t::table.find(id.uuid()).filter(t::cancel_requested_at.is_null()))
        .set((
            t::cancel_requested_at.eq(request.at),
            t::cancel_requested_by.eq(request.by.as_str()),
        ))
        .execute(conn)
        .await?;
    Ok(remembered == 1)
}

/// Adds an accepted transaction.
///
/// # Errors
/// If the database refuses the row or cannot be reached.
pub async fn insert(conn: &mut PgConn, new: &Transaction) -> Result<(), DbError> {
    use wallet_transactions as t;
    diesel::insert_into(t::table)
        .values((
            (
                t::id.eq(new.id.uuid()),
                t::wallet_id.eq(new.wallet_id.uuid()),
                t::user_id.eq(new.user_id.uuid()),
                t::transaction_type.eq(new.transaction_type),
                t::status.eq(Stage::Accepted.status()),
                t::stage.eq(Stage::Accepted.as_str()),
                t::amount.eq(new.amount.amount()),
                t::fee.eq(new.fee.map(|fee| fee.amount())),
                t::currency.eq(new.amount.currency().code()),
                t::reference.eq(new.reference.as_deref()),
                t::counterparty_wallet_id.eq(new.counterparty_wallet_id.map(WalletId::uuid)),
                t::related_transaction_id.eq(new.related_transaction_id.map(TransactionId::uuid)),
            ),
            (
                t::stripe_account_id.eq(new.stripe_account_id.as_ref()),
                t::stripe_payment_method_id.eq(new.stripe_payment_method_id.as_ref()),
                t::encrypted_sender_details.eq(new.encrypted_sender_details.as_deref()),
                t::encrypted_receiver_details.eq(new.encrypted_receiver_details.as_deref()),
                t::encrypted_bank_id.eq(new.encrypted_bank_id.as_deref()),
                t::encrypted_account_name.eq(new.encrypted_account_name.as_deref()),
                t::payment_method.eq(new.payment_method),
                t::description.eq(new.description.as_deref()),
                t::metadata.eq(new.metadata.as_ref()),
                t::created_at.eq(new.created_at),
                t::updated_at.eq(new.updated_at),
                t::flow.eq(new.flow.as_str()),
                t::stripe_refund_id.eq(new.stripe_refund_id.as_ref()),
                t::stripe_dispute_id.eq(new.stripe_dispute_id.as_ref()),
            ),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Returns the transaction with this id.
///
/// # Errors
/// If the database cannot be reached or the row is inconsistent.
pub async fn find(conn: &mut PgConn, id: TransactionId) -> Result<Option<Transaction>, DbError> {
    let row: Option<TransactionRow> = wallet_transactions::table
        .find(id.uuid())
        .select(TransactionRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(Transaction::try_from).transpose()
}

/// Returns the transactions with these ids, in no particular order; unknown ids are left out.
///
/// # Errors
/// If the database cannot be reached or a row is inconsistent.
pub async fn load_many(conn: &mut PgConn, ids: &[TransactionId]) -> Result<Vec<Transaction>, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let (Some(least), Some(most)) = (ids.iter().min().copied(), ids.iter().max().copied()) else {
        return Ok(Vec::new());
    };
    let rows: Vec<TransactionRow> = wallet_transactions::table
        .filter(wallet_transactions::id.eq_any(&ids))
        .filter(wallet_transactions::id.between(least, most))
        .select(TransactionRow::as_select())
        .load(conn)
        .await?;
    rows.into_iter().map(Transaction::try_from).collect()
}

/// Returns the transactions that relate to another one, oldest first: refunds, returns, disputes.
///
/// # Errors
/// If the database cannot be reached or a row is inconsistent.
pub async fn related_to(conn: &mut PgConn, id: TransactionId) -> Result<Vec<Transaction>, DbError> {
    let rows: Vec<TransactionRow> = wallet_transactions::table
        .filter(wallet_transactions::related_transaction_id.eq(id.uuid()))
        .order(wallet_transactions::id.asc())
        .select(TransactionRow::as_select())
        .load(conn)
        .await?;
    rows.into_iter().map(Transaction::try_from).collect()
}

/// Returns what later followed these refunds and disputes: what came back of a refund, and what a dispute moved after its end.
///
/// # Errors
/// If the database cannot be reached or a row is inconsistent.
pub(crate) async fn returns_of(
    conn: &mut PgConn,
    refunds: impl IntoIterator<Item = &Transaction>,
) -> Result<Vec<Transaction>, DbError> {
    let ids: Vec<Uuid> = refunds
        .into_iter()
        .filter(|refund| refund.may_turn())
        .map(|refund| refund.id.uuid())
        .collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<TransactionRow> = wallet_transactions::table
        .filter(wallet_transactions::related_transaction_id.eq_any(ids))
        .filter(
            wallet_transactions::flow
                .eq_any([Flow::RefundReturn, Flow::DisputeReturn, Flow::DisputeLoss].map(Flow::as_str)),
        )
        .select(TransactionRow::as_select())
        .load(conn)
        .await?;
    rows.into_iter().map(Transaction::try_from).collect()
}

/// Returns the transaction with this id if `viewer` owns one of its wallets.
///
/// # Errors
/// If the database cannot be reached or the row is inconsistent.
pub async fn find_visible(
    conn: &mut PgConn,
    id: TransactionId,
    viewer: UserId,
) -> Result<Option<Transaction>, DbError> {
    let Some(found) = find(conn, id).await? else {
        return Ok(None);
    };
    if found.user_id == viewer {
        return Ok(Some(found));
    }
    let Some(other) = found.counterparty_wallet_id else {
        return Ok(None);
    };
    let owner: Option<Uuid> = wallets::table
        .find(other.uuid())
        .select(wallets::user_id)
        .first(conn)
        .await
        .optional()?;
    Ok((owner == Some(viewer.uuid())).then_some(found))
}

/// Whether there is a request to cancel a transaction that holds its money: then nothing is sent for it until that is decided.
///
/// # Errors
/// If the database cannot be reached.
pub async fn is_to_be_cancelled(conn: &mut PgConn, id: Uuid) -> Result<bool, DbError> {
    let asked = wallet_transactions::table
        .find(id)
        .filter(wallet_transactions::stage.eq(Stage::Held.as_str()))
        .filter(wallet_transactions::cancel_requested_at.is_not_null());
    Ok(diesel::select(diesel::dsl::exists(asked))
        .get_result(conn)
        .await?)
}

/// Returns the sum that other withdrawals sent to the same account in the same currency after this one, and have not paid out yet, in major units.
///
/// # Errors
/// If the database cannot be reached.
pub async fn sent_after(conn: &mut PgConn, withdrawal: &Transaction) -> Result<Decimal, DbError> {
    let row: Only<Nullable<Numeric>, Option<Decimal>> = sql("WITH sent AS (SELECT t.id, t.amount,
                             (SELECT min(e.created_at) FROM ledger_entries e WHERE e.transaction_id = t.id AND e.account = $5) AS at
                        FROM wallet_transactions t
                       WHERE t.stripe_account_id = $1 AND t.currency = $2 AND ((t.stage = $3 AND t.status = 'processing') OR t.id = $4))
         SELECT sum(later.amount) FROM sent me JOIN sent later ON (later.at, later.id) > (me.at, me.id) WHERE me.id = $4")
    .bind::<Nullable<Text>, _>(withdrawal.stripe_account_id.as_ref())
    .bind::<Text, _>(withdrawal.amount.currency().code())
    .bind::<Text, _>(Stage::Transferred.as_str())
    .bind::<SqlUuid, _>(withdrawal.id.uuid())
    .bind::<Text, _>(Account::IN_TRANSIT.as_str())
    .get_result(conn)
    .await?;
    Ok(row.value.unwrap_or_default())
}

/// A filter on a wallet's transactions.
#[derive(Debug, Clone, Copy, Default)]
pub struct HistoryFilter {
    /// Only this type.
    pub transaction_type: Option<TransactionType>,
    /// Only this status.
    pub status: Option<TransactionStatus>,
    /// Only those older than this one.
    pub before: Option<TransactionId>,
}

/// One page of a wallet's history.
#[derive(Debug, Clone)]
pub struct HistoryPage {
    /// The transactions, newest first.
    pub transactions: Vec<Transaction>,
    /// Whether older ones follow.
    pub has_more: bool,
}

/// Returns a page of a wallet's history, newest first, including what others sent to it.
///
/// # Errors
/// If the database cannot be reached or a row is inconsistent.
pub async fn history(
    conn: &mut PgConn,
    wallet: WalletId,
    filter: HistoryFilter,
    first: usize,
) -> Result<HistoryPage, DbError> {
    use wallet_transactions as t;
    let limit = i64::try_from(first).unwrap_or(i64::MAX).saturating_add(1);
    // Two index scans, each already in order, instead of an OR that no index serves.
    let page = |side: bool| {
        let mut query = t::table
            .select(TransactionRow::as_select())
            .order(t::id.desc())
            .limit(limit)
            .into_boxed();
        query = if side {
            query.filter(t::wallet_id.eq(wallet.uuid()))
        } else {
            query.filter(t::counterparty_wallet_id.eq(wallet.uuid()))
        };
        if let Some(before) = filter.before {
            query = query.filter(t::id.lt(before.uuid()));
        }
        if let Some(kind) = filter.transaction_type {
            query = query.filter(t::transaction_type.eq(kind));
        }
        if let Some(status) = filter.status {
            query = query.filter(t::status.eq(status));
        }
        query
    };
    let mut rows: Vec<TransactionRow> = page(true).load(conn).await?;
    rows.extend(page(false).load::<TransactionRow>(conn).await?);
    let mut transactions = rows
        .into_iter()
        .map(Transaction::try_from)
        .collect::<Result<Vec<_>, _>>()?;
    transactions.sort_unstable_by_key(|transaction| std::cmp::Reverse(transaction.id));
    let has_more = transactions.len() > first;
    transactions.truncate(first);
    Ok(HistoryPage {
        transactions,
        has_more,
    })
}

/// Whether a wallet has at least `most` deposits and withdrawals that have not ended.
///
/// # Errors
/// If the database cannot be reached.
pub async fn has_open_payments(conn: &mut PgConn, wallet: WalletId, most: u32) -> Result<bool, DbError> {
    use wallet_transactions as t;
    // The last one that is allowed.
    let last: Option<Uuid> = t::table
        .filter(t::wallet_id.eq(wallet.uuid()))
        .filter(t::status.eq_any([TransactionStatus::Pending, TransactionStatus::Processing]))
        .filter(t::transaction_type.eq_any([TransactionType::Deposit, TransactionType::Withdrawal]))
        .select(t::id)
        .offset(i64::from(most) - 1)
        .limit(1)
        .first(conn)
        .await
        .optional()?;
    Ok(last.is_some())
}

/// Takes transactions that are due for a poll: those at one of these stages, and disputes, of which nothing was heard for `quiet`. The next
/// poll waits as long as they had been quiet at the last one, but at most `rarest`. Takes those first that are quiet the longest, and marks them.
///
/// # Errors
/// If the database cannot be reached.
pub(crate) async fn take_due_for_poll(
    conn: &mut PgConn,
    stages: &[Stage],
    (quiet, rarest): (TimeDelta, TimeDelta),
    most: i64,
    now: DateTime<Utc>,
) -> Result<Vec<(TransactionId, WalletId)>, DbError> {
    let stages: Vec<&str> = stages.iter().map(|stage| stage.as_str()).collect();
    let rows: Vec<QuietRow> = sql(
        "WITH quiet AS (
            SELECT id FROM wallet_transactions
             WHERE status IN ('pending', 'processing') AND updated_at < $1 - $2 AND (stage = ANY($4) OR flow = 'dispute')
               AND (checked_at IS NULL OR checked_at > $1 + interval '1 hour' OR checked_at < $1 - LEAST(GREATEST(checked_at - updated_at, $2), $3))
             ORDER BY updated_at LIMIT $5 FOR NO KEY UPDATE SKIP LOCKED)
         UPDATE wallet_transactions t SET checked_at = $1 FROM quiet WHERE t.id = quiet.id RETURNING t.id, t.wallet_id",
    )
    .bind::<Timestamptz, _>(now)
    .bind::<Interval, _>(quiet)
    .bind::<Interval, _>(rarest)
    .bind::<Array<Text>, _>(stages)
    .bind::<BigInt, _>(most)
    .load(conn)
    .await?;
    let typed = |row: QuietRow| {
        (
            TransactionId::from_uuid(row.id),
            WalletId::from_uuid(row.wallet_id),
        )
    };
    Ok(rows.into_iter().map(typed).collect())
}

#[derive(QueryableByName)]
struct QuietRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    wallet_id: Uuid,
}
