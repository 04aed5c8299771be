//! Steps of transactions: the stage, and the columns that change with it.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, Nullable, Numeric, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{FailureReason, Stage};
use crate::db::{DbError, PgConn, sql};
use crate::ids::TransactionId;
use crate::ids::stripe::{PaymentIntentId, PayoutId, RefundId, StripeTransferId};
use crate::money::Money;

/// Columns that change with the stage; `None` leaves a column as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// `stripe_payment_intent_id`
    pub payment_intent: Option<PaymentIntentId>,
    /// `encrypted_client_secret`
    pub sealed_client_secret: Option<String>,
    /// `stripe_transfer_id`
    pub transfer: Option<StripeTransferId>,
    /// `stripe_payout_id`
    pub payout: Option<PayoutId>,
    /// `stripe_refund_id`
    pub refund: Option<RefundId>,
    /// `failure_reason`
    pub failure_reason: Option<FailureReason>,
    /// `fee`
    pub fee: Option<Money>,
    /// `held_amount`
    pub held: Option<Money>,
    /// `claimed_amount`
    pub claimed: Option<Money>,
    /// `amount`: what was credited instead of the requested amount, which becomes `requested_amount`.
    pub credited: Option<Money>,
    /// `available_on`
    pub available_on: Option<DateTime<Utc>>,
}

/// One step of one transaction.
pub(crate) struct Advance<'a> {
    /// The transaction, whose row is locked.
    pub(crate) transaction: TransactionId,
    /// The current stage; the write is conditional on it.
    pub(crate) from: Stage,
    /// The new stage; the same one if only columns change.
    pub(crate) to: Stage,
    /// The columns that change.
    pub(crate) changes: &'a Changes,
}

/// Writes the steps, many with one statement. If a transaction has several, they are written one after another, in order.
///
/// # Errors
/// If the database fails, or a locked transaction is not at the stage at which it was read.
pub(crate) async fn advance(
    conn: &mut PgConn,
    now: DateTime<Utc>,
    steps: impl IntoIterator<Item = Advance<'_>>,
) -> Result<(), DbError> {
    let mut rest: Vec<Advance<'_>> = steps.into_iter().collect();
    while !rest.is_empty() {
        let mut seen = HashSet::new();
        let (round, later): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|step| seen.insert(step.transaction));
        write(conn, now, &round).await?;
        rest = later;
    }
    Ok(())
}

async fn write(conn: &mut PgConn, now: DateTime<Utc>, round: &[Advance<'_>]) -> Result<(), DbError> {
    fn column<'a, T>(round: &'a [Advance<'_>], pick: impl Fn(&'a Changes) -> T) -> Vec<T> {
        round.iter().map(|step| pick(step.changes)).collect()
    }
    let ids: Vec<Uuid> = round.iter().map(|step| step.transaction.uuid()).collect();
    let (least, most) = (ids.iter().min().copied(), ids.iter().max().copied());
    let written = sql(
        "UPDATE wallet_transactions AS t
            SET stage = n.stage, status = n.status::transaction_status, updated_at = $18,
                stripe_payment_intent_id = COALESCE(n.payment_intent, t.stripe_payment_intent_id),
                encrypted_client_secret = COALESCE(n.client_secret, t.encrypted_client_secret),
                stripe_transfer_id = COALESCE(n.transfer, t.stripe_transfer_id),
                stripe_payout_id = COALESCE(n.payout, t.stripe_payout_id),
                stripe_refund_id = COALESCE(n.refund, t.stripe_refund_id),
                failure_reason = COALESCE(n.failure_reason, t.failure_reason),
                fee = COALESCE(n.fee, t.fee), held_amount = COALESCE(n.held, t.held_amount),
                claimed_amount = COALESCE(n.claimed, t.claimed_amount),
                requested_amount = CASE WHEN n.credited IS NULL THEN t.requested_amount ELSE t.amount END,
                amount = COALESCE(n.credited, t.amount),
                available_on = COALESCE(n.available_on, t.available_on)
           FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
             AS n (id, from_stage, stage, status, payment_intent, client_secret, transfer, payout, refund, failure_reason,
                   fee, held, available_on, claimed, credited)
          WHERE t.id = n.id AND t.stage = n.from_stage AND t.id BETWEEN $16 AND $17",
    )
    .bind::<Array<SqlUuid>, _>(&ids)
    .bind::<Array<Text>, _>(round.iter().map(|step| step.from.as_str()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(round.iter().map(|step| step.to.as_str()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(round.iter().map(|step| step.to.status().as_str()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(column(round, |changes| changes.payment_intent.as_ref().map(AsRef::<str>::as_ref)))
    .bind::<Array<Nullable<Text>>, _>(column(round, |changes| changes.sealed_client_secret.as_deref()))
    .bind::<Array<Nullable<Text>>, _>(column(round, |changes| changes.transfer.as_ref().map(AsRef::<str>::as_ref)))
    .bind::<Array<Nullable<Text>>, _>(column(round, |changes| changes.payout.as_ref().map(AsRef::<str>::as_ref)))
    .bind::<Array<Nullable<Text>>, _>(column(round, |changes| changes.refund.as_ref().map(AsRef::<str>::as_ref)))
    .bind::<Array<Nullable<Text>>, _>(column(round, |changes| changes.failure_reason.as_ref().map(ToString::to_string)))
    .bind::<Array<Nullable<Numeric>>, _>(column(round, |changes| changes.fee.map(Money::amount)))
    .bind::<Array<Nullable<Numeric>>, _>(column(round, |changes| changes.held.map(Money::amount)))
    .bind::<Array<Nullable<Timestamptz>>, _>(column(round, |changes| changes.available_on))
    .bind::<Array<Nullable<Numeric>>, _>(column(round, |changes| changes.claimed.map(Money::amount)))
    .bind::<Array<Nullable<Numeric>>, _>(column(round, |changes| changes.credited.map(Money::amount)))
    .bind::<Nullable<SqlUuid>, _>(least)
    .bind::<Nullable<SqlUuid>, _>(most)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    if written == round.len() {
        Ok(())
    } else {
        // The rows are locked and were just read: a difference means that something writes without settlement.
        Err(DbError::inconsistent(
            "wallet_transactions",
            "stage",
            format!("{ids:?}"),
        ))
    }
}
