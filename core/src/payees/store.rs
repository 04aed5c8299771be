//! The table `stripe_accounts`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::ProvenAccount;
use crate::db::schema::{stripe_accounts, wallets};
use crate::db::{DbError, PgConn, sql};
use crate::ids::UserId;

/// A connected account as Stripe last described it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayeeAccount {
    /// `acct_…`
    pub account_id: String,
    /// Whose it is, as Stripe last said.
    pub user_id: UserId,
    /// Whether Stripe pays it out.
    pub payouts_enabled: bool,
    /// Why not, in Stripe's words, such as `requirements.past_due`.
    pub disabled_reason: Option<String>,
}

/// The account of an id, if Stripe has told of it.
///
/// # Errors
/// When the database cannot be reached.
pub async fn find(conn: &mut PgConn, account_id: &str) -> Result<Option<PayeeAccount>, DbError> {
    let row: Option<(String, Uuid, bool, Option<String>)> = stripe_accounts::table
        .find(account_id)
        .select((
            stripe_accounts::stripe_account_id,
            stripe_accounts::user_id,
            stripe_accounts::payouts_enabled,
            stripe_accounts::disabled_reason,
        ))
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(
        |(account_id, user, payouts_enabled, disabled_reason)| PayeeAccount {
            account_id,
            user_id: UserId::from_uuid(user),
            payouts_enabled,
            disabled_reason,
        },
    ))
}

/// [`PayeeAccount::disabled_reason`] of an account that the platform has no access to any more.
pub const DISCONNECTED: &str = "disconnected";

/// Writes down what Stripe says of an account and whose it is. An older answer that comes late changes nothing.
///
/// # Errors
/// When the database cannot be reached.
pub async fn record(conn: &mut PgConn, proven: &ProvenAccount) -> Result<(), DbError> {
    let account = proven.account();
    write(
        conn,
        proven.id(),
        proven.owner(),
        account.payouts_enabled,
        account.disabled_reason.as_deref(),
        proven.asked_at(),
    )
    .await
}

/// Notes that an account of `owner` is not paid out from now on, and why.
///
/// # Errors
/// When the database cannot be reached.
pub async fn close(
    conn: &mut PgConn,
    account_id: &str,
    owner: UserId,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    write(conn, account_id, owner, false, Some(reason), now).await
}

async fn write(
    conn: &mut PgConn,
    account_id: &str,
    owner: UserId,
    payouts_enabled: bool,
    disabled_reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sql(
        "INSERT INTO stripe_accounts (stripe_account_id, user_id, payouts_enabled, disabled_reason, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $5)
         ON CONFLICT (stripe_account_id) DO UPDATE
            SET user_id = EXCLUDED.user_id, payouts_enabled = EXCLUDED.payouts_enabled,
                disabled_reason = EXCLUDED.disabled_reason, updated_at = EXCLUDED.updated_at
          WHERE stripe_accounts.updated_at <= EXCLUDED.updated_at",
    )
    .bind::<Text, _>(account_id)
    .bind::<SqlUuid, _>(owner.uuid())
    .bind::<Bool, _>(payouts_enabled)
    .bind::<Nullable<Text>, _>(disabled_reason)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether wallets of `user` name this account.
///
/// # Errors
/// When the database cannot be reached.
pub async fn is_named_by(conn: &mut PgConn, account_id: &str, user: UserId) -> Result<bool, DbError> {
    let naming = wallets::table
        .filter(wallets::stripe_account_id.eq(account_id))
        .filter(wallets::user_id.eq(user.uuid()));
    Ok(diesel::select(diesel::dsl::exists(naming))
        .get_result(conn)
        .await?)
}

/// Notes that money is sent to an account that is recorded: from now on its list of events is read, for as long as payouts can fail.
///
/// # Errors
/// When the database cannot be reached.
pub async fn mark_paid(conn: &mut PgConn, account_id: &str, now: DateTime<Utc>) -> Result<(), DbError> {
    diesel::update(stripe_accounts::table.find(account_id))
        .set(stripe_accounts::paid_at.eq(now))
        .execute(conn)
        .await?;
    Ok(())
}
