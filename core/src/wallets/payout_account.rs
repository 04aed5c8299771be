//! The account that wallets pay out to, and since when. The wait after a change applies to the person and the account (table
//! `payout_account_changes`), so that a second wallet, a change back or a wallet that named no account is no way around it.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::Wallet;
use super::store::lock_person;
use crate::db::schema::{payout_account_changes, wallets};
use crate::db::{DbError, PgConn, sql};
use crate::ids::stripe::AccountId;
use crate::ids::{UserId, WalletId};

/// How long a change is remembered: longer than any configured wait.
const REMEMBERED: TimeDelta = TimeDelta::days(60);

/// The `stripe_accounts.disabled_reason` of an account to which the platform no longer has access.
pub const DISCONNECTED: &str = "disconnected";

/// Notes that a person is about to name or open a payout account, before a wallet names it. It is a change if the person is paid to another account
/// and none of their wallets names this one. The first account is no change, nor is one that replaces an account to which the platform has lost its
/// access. Returns whether it was a change.
///
/// A person has one row for each account that they changed to within sixty days; older ones are removed here.
///
/// # Errors
/// When the database cannot be reached.
pub async fn note_account(
    conn: &mut PgConn,
    person: UserId,
    account: &AccountId,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    // If two accounts are named at once, the lock makes one of them the second.
    lock_person(conn, person).await?;
    let old = payout_account_changes::table
        .filter(payout_account_changes::user_id.eq(person.uuid()))
        .filter(payout_account_changes::changed_at.lt(now - REMEMBERED));
    diesel::delete(old).execute(conn).await?;
    let noted = sql(
        "INSERT INTO payout_account_changes (user_id, stripe_account_id, changed_at)
         SELECT $1, $2, $3
          WHERE NOT EXISTS (SELECT 1 FROM wallets w WHERE w.user_id = $1 AND w.stripe_account_id = $2)
            AND EXISTS (SELECT 1 FROM wallets w LEFT JOIN stripe_accounts a USING (stripe_account_id)
                         WHERE w.user_id = $1 AND w.stripe_account_id <> $2 AND a.disabled_reason IS DISTINCT FROM $4)
         ON CONFLICT (user_id, stripe_account_id) DO UPDATE
            SET changed_at = greatest(payout_account_changes.changed_at, excluded.changed_at)",
    )
    .bind::<SqlUuid, _>(person.uuid())
    .bind::<Text, _>(account)
    .bind::<Timestamptz, _>(now)
    .bind::<Text, _>(DISCONNECTED)
    .execute(conn)
    .await?;
    Ok(noted == 1)
}

/// Lets the person's wallets that name no connected account, or the `lost` one, pay out to this one; returns those wallets.
///
/// # Errors
/// When the database cannot be reached.
pub async fn record_account(
    conn: &mut PgConn,
    user: UserId,
    account: &AccountId,
    lost: Option<&AccountId>,
    now: DateTime<Utc>,
) -> Result<Vec<WalletId>, DbError> {
    note_account(conn, user, account, now).await?;
    let free = wallets::stripe_account_id
        .is_null()
        .or(wallets::stripe_account_id.eq(lost));
    let named: Vec<Uuid> = diesel::update(
        wallets::table
            .filter(wallets::user_id.eq(user.uuid()))
            .filter(free),
    )
    .set((
        wallets::stripe_account_id.eq(account),
        wallets::updated_at.eq(now),
    ))
    .returning(wallets::id)
    .get_results(conn)
    .await?;
    Ok(named.into_iter().map(WalletId::from_uuid).collect())
}

/// Returns the payout account that the person's wallets name; if there are several, that of the wallet whose account changed last.
///
/// # Errors
/// When the database cannot be reached.
pub async fn account_of_person(conn: &mut PgConn, user: UserId) -> Result<Option<AccountId>, DbError> {
    let named: Option<Option<AccountId>> = wallets::table
        .filter(wallets::user_id.eq(user.uuid()))
        .filter(wallets::stripe_account_id.is_not_null())
        .order((
            wallets::payout_account_changed_at.desc().nulls_last(),
            wallets::id.asc(),
        ))
        .select(wallets::stripe_account_id)
        .first(conn)
        .await
        .optional()?;
    Ok(named.flatten())
}

/// Lets a locked wallet pay out to another account, and notes the time if that is a change.
///
/// # Errors
/// When the database cannot be reached.
pub async fn change_account(
    conn: &mut PgConn,
    before: &Wallet,
    account: &AccountId,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let is_change = note_account(conn, before.user_id, account, now).await?;
    // Earlier versions read the time on the wallet. A wallet that joins others of its person takes over the time of their account.
    let changed_at = if is_change {
        before.stripe_account_id.as_ref().map(|_| now)
    } else {
        payout_account_changed(conn, before.user_id, account).await?
    };
    diesel::update(wallets::table.find(before.id.uuid()))
        .set((
            wallets::stripe_account_id.eq(account),
            wallets::payout_account_changed_at.eq(changed_at),
            wallets::updated_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Returns when a person last changed to a payout account, in any wallet, or `None` if it was the first one or was never named.
///
/// # Errors
/// When the database cannot be reached.
pub async fn payout_account_changed(
    conn: &mut PgConn,
    person: UserId,
    account: &AccountId,
) -> Result<Option<DateTime<Utc>>, DbError> {
    let noted: Option<DateTime<Utc>> = payout_account_changes::table
        .find((person.uuid(), account))
        .select(payout_account_changes::changed_at)
        .first(conn)
        .await
        .optional()?;
    // Earlier versions write the time here during a deployment.
    let on_wallets: Option<DateTime<Utc>> = wallets::table
        .filter(wallets::user_id.eq(person.uuid()))
        .filter(wallets::stripe_account_id.eq(account))
        .select(diesel::dsl::max(wallets::payout_account_changed_at))
        .first(conn)
        .await?;
    Ok(noted.max(on_wallets))
}
