//! The table `stripe_accounts`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::ProvenAccount;
use crate::db::schema::{stripe_accounts, wallets};
use crate::db::{DbError, PgConn, sql};
use crate::ids::UserId;
use crate::ids::stripe::AccountId;
use crate::stripe::Account;
pub use crate::wallets::DISCONNECTED;

/// A connected account as Stripe last described it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayeeAccount {
    /// `acct_…`
    pub account_id: AccountId,
    /// Its owner, as Stripe last said.
    pub user_id: UserId,
    /// Whether Stripe pays it out.
    pub payouts_enabled: bool,
    /// Why it does not, in Stripe's words, such as `requirements.past_due`.
    pub disabled_reason: Option<String>,
    /// The currencies in which it can be paid out; `None` if Stripe has not said.
    pub bank_currencies: Option<Vec<String>>,
}

impl PayeeAccount {
    /// Returns whether Stripe's answer contains nothing new about the account.
    pub(crate) fn is_what(&self, proven: &ProvenAccount) -> bool {
        let said = State::of(proven.account());
        let banks = said.bank_currencies.as_deref();
        self.user_id == proven.owner()
            && self.payouts_enabled == said.payouts_enabled
            && self.disabled_reason.as_deref() == said.disabled_reason
            && banks.is_none_or(|banks| {
                self.bank_currencies
                    .as_ref()
                    .is_some_and(|known| known.iter().map(String::as_str).eq(banks.iter().copied()))
            })
    }
}

/// Returns the account with this id, if Stripe has described it.
///
/// # Errors
/// When the database cannot be reached.
pub async fn find(conn: &mut PgConn, account_id: &AccountId) -> Result<Option<PayeeAccount>, DbError> {
    type Row = (AccountId, Uuid, bool, Option<String>, Option<Vec<String>>);
    let row: Option<Row> = stripe_accounts::table
        .find(account_id)
        .select((
            stripe_accounts::stripe_account_id,
            stripe_accounts::user_id,
            stripe_accounts::payouts_enabled,
            stripe_accounts::disabled_reason,
            stripe_accounts::bank_currencies,
        ))
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(
        |(account_id, user, payouts_enabled, disabled_reason, bank_currencies)| PayeeAccount {
            account_id,
            user_id: UserId::from_uuid(user),
            payouts_enabled,
            disabled_reason,
            bank_currencies,
        },
    ))
}

/// Records what Stripe says about an account, and its owner. An older answer that comes late changes nothing.
///
/// # Errors
/// When the database cannot be reached.
pub async fn record(conn: &mut PgConn, proven: &ProvenAccount) -> Result<(), DbError> {
    let state = State::of(proven.account());
    write(conn, proven.id(), proven.owner(), &state, proven.asked_at()).await
}

/// Records that an account of `owner` is not paid out from now on, and why.
///
/// # Errors
/// When the database cannot be reached.
pub async fn close(
    conn: &mut PgConn,
    account_id: &AccountId,
    owner: UserId,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let state = State {
        payouts_enabled: false,
        disabled_reason: Some(reason),
        bank_currencies: None,
    };
    write(conn, account_id, owner, &state, now).await
}

/// The state of an account.
struct State<'a> {
    payouts_enabled: bool,
    disabled_reason: Option<&'a str>,
    /// `None` leaves what was recorded before.
    bank_currencies: Option<Vec<&'a str>>,
}

impl<'a> State<'a> {
    fn of(account: &'a Account) -> Self {
        Self {
            payouts_enabled: account.payouts_enabled,
            disabled_reason: account.disabled_reason.as_deref(),
            bank_currencies: account
                .bank_currencies
                .as_ref()
                .map(|currencies| currencies.iter().map(|currency| currency.code()).collect()),
        }
    }
}

async fn write(
    conn: &mut PgConn,
    account_id: &AccountId,
    owner: UserId,
    state: &State<'_>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sql(
        "INSERT INTO stripe_accounts (stripe_account_id, user_id, payouts_enabled, disabled_reason, created_at, updated_at, bank_currencies)
         VALUES ($1, $2, $3, $4, $5, $5, $6)
         ON CONFLICT (stripe_account_id) DO UPDATE
            SET user_id = EXCLUDED.user_id, payouts_enabled = EXCLUDED.payouts_enabled,
                disabled_reason = EXCLUDED.disabled_reason, updated_at = EXCLUDED.updated_at,
                bank_currencies = coalesce(EXCLUDED.bank_currencies, stripe_accounts.bank_currencies)
          WHERE stripe_accounts.updated_at <= EXCLUDED.updated_at",
    )
    .bind::<Text, _>(account_id)
    .bind::<SqlUuid, _>(owner.uuid())
    .bind::<Bool, _>(state.payouts_enabled)
    .bind::<Nullable<Text>, _>(state.disabled_reason)
    .bind::<Timestamptz, _>(now)
    .bind::<Nullable<Array<Text>>, _>(state.bank_currencies.as_deref())
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns whether wallets of `user` name this account.
///
/// # Errors
/// When the database cannot be reached.
pub async fn is_named_by(conn: &mut PgConn, account_id: &AccountId, user: UserId) -> Result<bool, DbError> {
    let naming = wallets::table
        .filter(wallets::stripe_account_id.eq(account_id))
        .filter(wallets::user_id.eq(user.uuid()));
    Ok(diesel::select(diesel::dsl::exists(naming))
        .get_result(conn)
        .await?)
}

/// Records that money is sent to an account, if it is known here: from now on its events are read, for as long as payouts can fail.
///
/// # Errors
/// When the database cannot be reached.
pub async fn mark_paid(conn: &mut PgConn, account_id: &AccountId, now: DateTime<Utc>) -> Result<(), DbError> {
    diesel::update(stripe_accounts::table.find(account_id))
        .set(stripe_accounts::paid_at.eq(now))
        .execute(conn)
        .await?;
    Ok(())
}
