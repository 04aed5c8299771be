//! Reading and adding wallets. Their balances are written only by [`crate::ledger`].

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{Wallet, WalletRow};
use crate::db::schema::{stripe_customers, wallet_transactions, wallets};
use crate::db::{DbError, PgConn, sql};
use crate::ids::stripe::CustomerId;
use crate::ids::{UserId, WalletId};
use crate::money::Currency;

/// Adds a wallet without money.
///
/// # Errors
/// When the database refuses or cannot be reached.
pub async fn insert(conn: &mut PgConn, new: &Wallet) -> Result<(), DbError> {
    diesel::insert_into(wallets::table)
        .values((
            wallets::id.eq(new.id.uuid()),
            wallets::user_id.eq(new.user_id.uuid()),
            wallets::currency.eq(new.currency().code()),
            wallets::stripe_customer_id.eq(new.stripe_customer_id.as_ref()),
            wallets::stripe_account_id.eq(new.stripe_account_id.as_ref()),
            wallets::encrypted_bank_details.eq(new.encrypted_bank_details.as_deref()),
            wallets::payout_account_changed_at.eq(new.payout_account_changed_at),
            wallets::is_active.eq(new.is_active),
            wallets::created_at.eq(new.created_at),
            wallets::updated_at.eq(new.updated_at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Returns the wallet with this id.
///
/// # Errors
/// When the database cannot be reached or the row is inconsistent.
pub async fn find(conn: &mut PgConn, id: WalletId) -> Result<Option<Wallet>, DbError> {
    let row: Option<WalletRow> = wallets::table
        .find(id.uuid())
        .select(WalletRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(Wallet::try_from).transpose()
}

/// Returns the wallet with this id if `owner` owns it; another person's wallet looks like one that does not exist.
///
/// # Errors
/// When the database cannot be reached or the row is inconsistent.
pub async fn find_owned(conn: &mut PgConn, id: WalletId, owner: UserId) -> Result<Option<Wallet>, DbError> {
    Ok(find(conn, id).await?.filter(|wallet| wallet.user_id == owner))
}

/// Returns the wallets with these ids, in no particular order; unknown ids are left out.
///
/// # Errors
/// When the database cannot be reached or a row is inconsistent.
pub async fn load_many(conn: &mut PgConn, ids: &[WalletId]) -> Result<Vec<Wallet>, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows: Vec<WalletRow> = wallets::table
        .filter(wallets::id.eq_any(ids))
        .select(WalletRow::as_select())
        .load(conn)
        .await?;
    rows.into_iter().map(Wallet::try_from).collect()
}

/// Returns the owners of several wallets, in no particular order; unknown ids are left out.
///
/// # Errors
/// When the database cannot be reached.
pub async fn owners_of(conn: &mut PgConn, ids: &[WalletId]) -> Result<Vec<(WalletId, UserId)>, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let owners: Vec<(Uuid, Uuid)> = wallets::table
        .filter(wallets::id.eq_any(ids))
        .select((wallets::id, wallets::user_id))
        .load(conn)
        .await?;
    let typed = |(wallet, owner)| (WalletId::from_uuid(wallet), UserId::from_uuid(owner));
    Ok(owners.into_iter().map(typed).collect())
}

/// Returns at most `most` of a person's wallets, oldest first; only those after `after` if it is given.
///
/// # Errors
/// When the database cannot be reached or a row is inconsistent.
pub async fn of_user(
    conn: &mut PgConn,
    user: UserId,
    after: Option<WalletId>,
    most: u32,
) -> Result<Vec<Wallet>, DbError> {
    let rows: Vec<WalletRow> = wallets::table
        .filter(wallets::user_id.eq(user.uuid()))
        .filter(wallets::id.gt(after.map_or(Uuid::nil(), WalletId::uuid)))
        .order(wallets::id.asc())
        .limit(i64::from(most))
        .select(WalletRow::as_select())
        .load(conn)
        .await?;
    rows.into_iter().map(Wallet::try_from).collect()
}

/// The number of wallets that a person has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct WalletCount {
    /// The number in all currencies.
    #[diesel(sql_type = BigInt)]
    pub all: i64,
    /// The number in the given currency.
    #[diesel(sql_type = BigInt)]
    pub of_currency: i64,
}

/// Keeps others from adding wallets of a person, and from naming payout accounts in them, until the end of the transaction.
///
/// # Errors
/// When the database cannot be reached.
pub async fn lock_person(conn: &mut PgConn, user: UserId) -> Result<(), DbError> {
    sql("SELECT pg_advisory_xact_lock(hashtextextended($1::text, 7237002))")
        .bind::<SqlUuid, _>(user.uuid())
        .execute(conn)
        .await?;
    Ok(())
}

/// Returns how many wallets a person has, and keeps others from changing that until the end of the transaction.
///
/// # Errors
/// When the database cannot be reached.
pub async fn count_locked(
    conn: &mut PgConn,
    user: UserId,
    currency: Currency,
) -> Result<WalletCount, DbError> {
    lock_person(conn, user).await?;
    // A separate statement, so that it sees what was committed while it waited for the lock.
    let count = sql(
        "SELECT count(*) AS \"all\", count(*) FILTER (WHERE currency = $2) AS of_currency FROM wallets WHERE user_id = $1",
    )
    .bind::<SqlUuid, _>(user.uuid())
    .bind::<Text, _>(currency.code())
    .get_result(conn)
    .await?;
    Ok(count)
}

/// Returns the person's Stripe customer, if one was recorded.
///
/// # Errors
/// When the database cannot be reached.
pub async fn customer_of(conn: &mut PgConn, user: UserId) -> Result<Option<CustomerId>, DbError> {
    Ok(stripe_customers::table
        .find(user.uuid())
        .select(stripe_customers::stripe_customer_id)
        .first(conn)
        .await
        .optional()?)
}

/// Records the person's Stripe customer on their wallets and returns the one that counts: the first recorded.
///
/// # Errors
/// When the database cannot be reached.
pub async fn record_customer(
    conn: &mut PgConn,
    user: UserId,
    customer: &CustomerId,
    now: DateTime<Utc>,
) -> Result<CustomerId, DbError> {
    diesel::insert_into(stripe_customers::table)
        .values((
            stripe_customers::user_id.eq(user.uuid()),
            stripe_customers::stripe_customer_id.eq(customer),
            stripe_customers::created_at.eq(now),
        ))
        .on_conflict(stripe_customers::user_id)
        .do_nothing()
        .execute(conn)
        .await?;
    let counts: CustomerId = stripe_customers::table
        .find(user.uuid())
        .select(stripe_customers::stripe_customer_id)
        .first(conn)
        .await?;
    diesel::update(
        wallets::table
            .filter(wallets::user_id.eq(user.uuid()))
            .filter(wallets::stripe_customer_id.is_null()),
    )
    .set((
        wallets::stripe_customer_id.eq(&counts),
        wallets::updated_at.eq(now),
    ))
    .execute(conn)
    .await?;
    Ok(counts)
}

/// Removes the person's recorded customer if it is still this one, so that the next deposit creates another; returns whether it was.
///
/// # Errors
/// When the database cannot be reached.
pub async fn forget_customer(
    conn: &mut PgConn,
    user: UserId,
    lost: &str,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let recorded = stripe_customers::table
        .find(user.uuid())
        .filter(stripe_customers::stripe_customer_id.eq(lost));
    let forgotten = diesel::delete(recorded).execute(conn).await?;
    diesel::update(
        wallets::table
            .filter(wallets::user_id.eq(user.uuid()))
            .filter(wallets::stripe_customer_id.eq(lost)),
    )
    .set((
        wallets::stripe_customer_id.eq(None::<String>),
        wallets::updated_at.eq(now),
    ))
    .execute(conn)
    .await?;
    Ok(forgotten == 1)
}

/// Locks the wallet with this id until the end of the transaction, and returns it.
///
/// # Errors
/// When the database cannot be reached or the row is inconsistent.
pub async fn lock(conn: &mut PgConn, id: WalletId) -> Result<Option<Wallet>, DbError> {
    let row: Option<WalletRow> = wallets::table
        .find(id.uuid())
        .select(WalletRow::as_select())
        .for_no_key_update()
        .first(conn)
        .await
        .optional()?;
    row.map(Wallet::try_from).transpose()
}

/// Returns whether the wallet of a transaction is active, and locks it against a change until the end of the database transaction. A subject
/// that has no wallet counts as active.
///
/// # Errors
/// When the database cannot be reached.
pub async fn is_active_for(conn: &mut PgConn, transaction: Uuid) -> Result<bool, DbError> {
    let wallet: Option<Uuid> = wallet_transactions::table
        .find(transaction)
        .select(wallet_transactions::wallet_id)
        .first(conn)
        .await
        .optional()?;
    let Some(wallet) = wallet else { return Ok(true) };
    let active: Option<bool> = wallets::table
        .find(wallet)
        .select(wallets::is_active)
        .for_share()
        .first(conn)
        .await
        .optional()?;
    Ok(active.unwrap_or(true))
}

/// Writes whether a wallet is active; [`super::set_active`] records it in the audit trail.
pub(super) async fn write_active(
    conn: &mut PgConn,
    id: WalletId,
    active: bool,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::update(wallets::table.find(id.uuid()))
        .set((wallets::is_active.eq(active), wallets::updated_at.eq(now)))
        .execute(conn)
        .await?;
    Ok(())
}
