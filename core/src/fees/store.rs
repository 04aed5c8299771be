//! The table `fee_rules`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::FeeRule;
use crate::db::schema::fee_rules;
use crate::db::{DbError, PgConn, sql};
use crate::ids::UserId;
use crate::money::Currency;

#[derive(Queryable, Selectable, QueryableByName)]
#[diesel(table_name = fee_rules)]
#[diesel(check_for_backend(diesel::pg::Pg))]
struct Row {
    id: i64,
    currency: Option<String>,
    payee_user_id: Option<Uuid>,
    basis_points: i32,
    minimum: Option<Decimal>,
    maximum: Option<Decimal>,
}

impl TryFrom<Row> for FeeRule {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        let wrong = |column| DbError::inconsistent("fee_rules", column, row.id);
        Ok(Self {
            currency: row
                .currency
                .as_deref()
                .map(str::parse::<Currency>)
                .transpose()
                .map_err(|_| wrong("currency"))?,
            payee: row.payee_user_id.map(UserId::from_uuid),
            basis_points: u16::try_from(row.basis_points).map_err(|_| wrong("basis_points"))?,
            minimum: row.minimum,
            maximum: row.maximum,
        })
    }
}

/// Returns the rule that applies to a payment to `payee`, or `None` if there is none: then the platform keeps nothing.
///
/// # Errors
/// When the database cannot be reached or the row is inconsistent.
pub async fn rule_for(
    conn: &mut PgConn,
    currency: Currency,
    payee: UserId,
) -> Result<Option<FeeRule>, DbError> {
    let rows: Vec<Row> = sql("SELECT * FROM fee_rules
          WHERE (currency = $1 OR currency IS NULL) AND (payee_user_id = $2 OR payee_user_id IS NULL)
          ORDER BY (payee_user_id IS NOT NULL) DESC, (currency IS NOT NULL) DESC LIMIT 1")
    .bind::<Text, _>(currency.code())
    .bind::<SqlUuid, _>(payee.uuid())
    .load(conn)
    .await?;
    rows.into_iter().next().map(FeeRule::try_from).transpose()
}

/// Returns every rule, the general ones first.
///
/// # Errors
/// When the database cannot be reached or a row is inconsistent.
pub async fn list(conn: &mut PgConn) -> Result<Vec<FeeRule>, DbError> {
    let rows: Vec<Row> = fee_rules::table
        .order((
            fee_rules::payee_user_id.asc().nulls_first(),
            fee_rules::currency.asc().nulls_first(),
        ))
        .select(Row::as_select())
        .load(conn)
        .await?;
    rows.into_iter().map(FeeRule::try_from).collect()
}

/// Writes a rule, which replaces the one for the same currency and payee.
///
/// # Errors
/// When the database refuses (a bound below zero, more than 100 %, a payee without a currency) or cannot be reached.
pub async fn set(conn: &mut PgConn, rule: &FeeRule, now: DateTime<Utc>) -> Result<(), DbError> {
    diesel::insert_into(fee_rules::table)
        .values((
            fee_rules::currency.eq(rule.currency.map(Currency::code)),
            fee_rules::payee_user_id.eq(rule.payee.map(UserId::uuid)),
            fee_rules::basis_points.eq(i32::from(rule.basis_points)),
            fee_rules::minimum.eq(rule.minimum),
            fee_rules::maximum.eq(rule.maximum),
            fee_rules::updated_at.eq(now),
        ))
        .on_conflict((fee_rules::currency, fee_rules::payee_user_id))
        .do_update()
        .set((
            fee_rules::basis_points.eq(i32::from(rule.basis_points)),
            fee_rules::minimum.eq(rule.minimum),
            fee_rules::maximum.eq(rule.maximum),
            fee_rules::updated_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Removes the rule for a currency and payee; returns `false` if there is none.
///
/// # Errors
/// When the database cannot be reached.
pub async fn remove(
    conn: &mut PgConn,
    currency: Option<Currency>,
    payee: Option<UserId>,
) -> Result<bool, DbError> {
    let removed = sql(
        "DELETE FROM fee_rules WHERE currency IS NOT DISTINCT FROM $1 AND payee_user_id IS NOT DISTINCT FROM $2",
    )
    .bind::<Nullable<Text>, _>(currency.map(Currency::code))
    .bind::<Nullable<SqlUuid>, _>(payee.map(UserId::uuid))
    .execute(conn)
    .await?;
    Ok(removed == 1)
}
