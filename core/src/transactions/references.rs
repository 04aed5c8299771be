//! The table `external_refs`: which transaction a Stripe object leads to.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::deserialize::FromSqlRow;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Array, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{ExternalRef, RefKind};
use crate::db::schema::external_refs;
use crate::db::{DbError, PgConn, sql};
use crate::ids::TransactionId;
use crate::ids::stripe::BalanceTransactionId;

/// Returns the transaction that a Stripe object leads to in this way, if any.
///
/// # Errors
/// If the database cannot be reached.
pub async fn find_by_external_ref(
    conn: &mut PgConn,
    reference: &ExternalRef,
) -> Result<Option<TransactionId>, DbError> {
    let id: Option<Uuid> = external_refs::table
        .find((reference.kind(), reference.id()))
        .select(external_refs::transaction_id)
        .first(conn)
        .await
        .optional()?;
    Ok(id.map(TransactionId::from_uuid))
}

/// Returns those of these movements of a Stripe balance that are booked.
///
/// # Errors
/// If the database cannot be reached.
pub async fn booked_movements(
    conn: &mut PgConn,
    ids: &[&BalanceTransactionId],
) -> Result<HashSet<BalanceTransactionId>, DbError> {
    let booked: Vec<BalanceTransactionId> = external_refs::table
        .filter(external_refs::kind.eq(RefKind::BalanceTransaction))
        .filter(external_refs::external_id.eq_any(ids))
        .select(external_refs::external_id)
        .load(conn)
        .await?;
    Ok(booked.into_iter().collect())
}

/// Returns the transaction that a Stripe object of any kind leads to, if any.
///
/// # Errors
/// If the database cannot be reached.
pub async fn find_by_object(conn: &mut PgConn, external_id: &str) -> Result<Option<TransactionId>, DbError> {
    let id: Option<Uuid> = external_refs::table
        // The table's key begins with the kind.
        .filter(external_refs::kind.eq_any(RefKind::OBJECTS))
        .filter(external_refs::external_id.eq(external_id))
        .select(external_refs::transaction_id)
        .first(conn)
        .await
        .optional()?;
    Ok(id.map(TransactionId::from_uuid))
}

/// Whether any object leads to a transaction in this way.
///
/// # Errors
/// If the database cannot be reached.
pub async fn has_external_refs(
    conn: &mut PgConn,
    transaction: TransactionId,
    kind: RefKind,
) -> Result<bool, DbError> {
    let leading = external_refs::table
        .filter(external_refs::transaction_id.eq(transaction.uuid()))
        .filter(external_refs::kind.eq(kind));
    Ok(diesel::select(diesel::dsl::exists(leading))
        .get_result(conn)
        .await?)
}

/// Returns the objects that lead to a transaction in this way.
///
/// # Errors
/// If the database cannot be reached, or one of the objects does not have this type of id.
pub async fn external_refs_of<Id>(
    conn: &mut PgConn,
    transaction: TransactionId,
    kind: RefKind,
) -> Result<Vec<Id>, DbError>
where
    Id: FromSqlRow<Text, Pg> + Send + 'static,
{
    Ok(external_refs::table
        .filter(external_refs::transaction_id.eq(transaction.uuid()))
        .filter(external_refs::kind.eq(kind))
        .select(external_refs::external_id)
        .order(external_refs::external_id)
        .load(conn)
        .await?)
}

/// Returns those of these objects that lead to a transaction in one of these ways, each with the way and the transaction.
///
/// # Errors
/// If the database cannot be reached.
pub(crate) async fn leading(
    conn: &mut PgConn,
    kinds: &[RefKind],
    objects: &[&str],
) -> Result<Vec<(RefKind, String, TransactionId)>, DbError> {
    if objects.is_empty() {
        return Ok(Vec::new());
    }
    let found: Vec<(RefKind, String, Uuid)> = external_refs::table
        .filter(external_refs::kind.eq_any(kinds))
        .filter(external_refs::external_id.eq_any(objects))
        .select((
            external_refs::kind,
            external_refs::external_id,
            external_refs::transaction_id,
        ))
        .load(conn)
        .await?;
    let typed = |(kind, object, id)| (kind, object, TransactionId::from_uuid(id));
    Ok(found.into_iter().map(typed).collect())
}

/// Records that objects lead to transactions. One that leads somewhere already aborts the database transaction: no Stripe object belongs to two.
///
/// # Errors
/// If one of them leads somewhere already, or the database cannot be reached.
pub(crate) async fn record_references(
    conn: &mut PgConn,
    refs: &[(&ExternalRef, TransactionId)],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    if refs.is_empty() {
        return Ok(());
    }
    let kinds: Vec<RefKind> = refs.iter().map(|(object, _)| object.kind()).collect();
    let ids: Vec<&str> = refs.iter().map(|(object, _)| object.id()).collect();
    let transactions: Vec<Uuid> = refs.iter().map(|(_, id)| id.uuid()).collect();
    sql(
        "INSERT INTO external_refs (kind, external_id, transaction_id, created_at)
         SELECT r.*, $4 FROM unnest($1, $2, $3) AS r",
    )
    .bind::<Array<Text>, _>(kinds)
    .bind::<Array<Text>, _>(ids)
    .bind::<Array<SqlUuid>, _>(transactions)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes an object lead to this transaction, unless it leads to one already, and returns the transaction that it leads to. A concurrent second
/// call waits for the commit of the first.
///
/// # Errors
/// If the database cannot be reached.
pub(crate) async fn take_reference(
    conn: &mut PgConn,
    reference: &ExternalRef,
    transaction: TransactionId,
    now: DateTime<Utc>,
) -> Result<TransactionId, DbError> {
    let taken = diesel::insert_into(external_refs::table)
        .values((
            external_refs::kind.eq(reference.kind()),
            external_refs::external_id.eq(reference.id()),
            external_refs::transaction_id.eq(transaction.uuid()),
            external_refs::created_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    if taken == 1 {
        return Ok(transaction);
    }
    let known = find_by_external_ref(conn, reference).await?;
    known.ok_or_else(|| DbError::inconsistent("external_refs", "transaction_id", reference.id()))
}
