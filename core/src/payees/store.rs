//! The table `stripe_accounts`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::db::schema::{stripe_accounts, wallets};
use crate::db::{DbError, PgConn, sql};
use crate::ids::UserId;

/// A connected account as Stripe last described it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayeeAccount {
    /// `acct_…`
    pub account_id: String,
    /// Whose it is.
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

/// Writes down what Stripe says of an account. `now` is when it was asked: an older answer that comes late changes nothing. Whose the
/// account is stays as it was first recorded.
///
/// # Errors
/// When the database cannot be reached.
pub async fn record(
    conn: &mut PgConn,
    account_id: &str,
    user: UserId,
    payouts_enabled: bool,
    disabled_reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sql(
        "INSERT INTO stripe_accounts (stripe_account_id, user_id, payouts_enabled, disabled_reason, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $5)
         ON CONFLICT (stripe_account_id) DO UPDATE
            SET payouts_enabled = EXCLUDED.payouts_enabled, disabled_reason = EXCLUDED.disabled_reason,
                updated_at = EXCLUDED.updated_at
          WHERE stripe_accounts.updated_at <= EXCLUDED.updated_at",
    )
    .bind::<Text, _>(account_id)
    .bind::<SqlUuid, _>(user.uuid())
    .bind::<Bool, _>(payouts_enabled)
    .bind::<Nullable<Text>, _>(disabled_reason)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// Whose an account is: as recorded, else of the wallet that names it.
///
/// # Errors
/// When the database cannot be reached.
pub async fn owner_of(conn: &mut PgConn, account_id: &str) -> Result<Option<UserId>, DbError> {
    if let Some(known) = find(conn, account_id).await? {
        return Ok(Some(known.user_id));
    }
    let owner: Option<Uuid> = wallets::table
        .filter(wallets::stripe_account_id.eq(account_id))
        .order(wallets::id.asc())
        .select(wallets::user_id)
        .first(conn)
        .await
        .optional()?;
    Ok(owner.map(UserId::from_uuid))
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
