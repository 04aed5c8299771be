//! External movements: money that moved at Stripe without our request is booked as a transaction of its own.

use serde_json::json;

use crate::audit::{self, Actor, AuditRecord};
use crate::clock::Clock;
use crate::db::{Db, DbError, PgConn, in_transaction};
use crate::ids::{IdSource, TransactionId};
use crate::jobs::{self, JobKind, NewJob};
use crate::money::Money;
use crate::transactions::{self, ExternalRef, Flow, TimelineKind, Transaction};
use chrono::{DateTime, Utc};

/// A movement of money at Stripe that we did not request.
#[derive(Debug, Clone)]
pub struct ExternalMovement<'a> {
    /// The flow of its transaction.
    pub flow: Flow,
    /// The earlier transaction that it follows, such as the deposit that it refunds.
    pub original: &'a Transaction,
    /// The Stripe object for which it is booked, only once.
    pub reference: ExternalRef,
    /// A second object that leads to the same transaction in the same way, if Stripe already names one.
    pub also: Option<ExternalRef>,
    /// The amount, in the wallet's currency.
    pub amount: Money,
    /// What happened, for the owner: a line on the timeline of both transactions.
    pub words: String,
}

/// Stores the pending transaction of `movement` with its job, unless it is stored already, and returns its id.
///
/// # Errors
/// If the database cannot be reached.
pub async fn open_external_movement(
    db: &Db,
    ids: &dyn IdSource,
    clock: &dyn Clock,
    actor: &Actor,
    movement: &ExternalMovement<'_>,
) -> Result<TransactionId, DbError> {
    let (new, now) = (
        pending(movement, TransactionId::from_uuid(ids.next()), clock),
        clock.now(),
    );
    let (kind, external_id) = (movement.reference.kind().as_str(), movement.reference.id());
    in_transaction!(db, conn => {
        if let Some(known) = take_references(conn, movement, new.id, now).await? {
            return Ok(known);
        }
        transactions::insert(conn, &new).await?;
        jobs::insert(conn, &NewJob::for_transaction(job_of(movement.flow), new.id, new.wallets(), now)).await?;
        let detail = Some(json!({ kind: external_id, "transaction": new.id.to_string() }));
        let (words, original) = (movement.words.as_str(), movement.original.id);
        transactions::record(conn, new.id, ids.next(), now, TimelineKind::Accepted, words, detail.clone()).await?;
        transactions::record(conn, original, ids.next(), now, TimelineKind::StripeEvent, words, detail).await?;
        let entry = AuditRecord {
            transactions: &[new.id],
            wallets: &new.wallets(),
            detail: json!({ "type": new.transaction_type.as_str(), "flow": new.flow.as_str(), kind: external_id }),
            ..AuditRecord::new(now, actor, "accept")
        };
        audit::record(conn, &entry).await?;
        Ok::<_, DbError>(new.id)
    })
}

/// Takes the references for `new`. If one of them already leads to another transaction, makes both lead to that one and returns it.
async fn take_references(
    conn: &mut PgConn,
    movement: &ExternalMovement<'_>,
    new: TransactionId,
    now: DateTime<Utc>,
) -> Result<Option<TransactionId>, DbError> {
    let also = match &movement.also {
        Some(also) => transactions::find_by_external_ref(conn, also).await?,
        None => None,
    };
    let holder = transactions::take_reference(conn, &movement.reference, also.unwrap_or(new), now).await?;
    if let Some(also) = &movement.also {
        let second = transactions::take_reference(conn, also, holder, now).await?;
        if second != holder {
            // A concurrent caller has booked it by the second object: try again, now that both can be seen.
            return Err(DbError::Overtaken);
        }
    }
    Ok((holder != new).then_some(holder))
}

/// The job that continues the transaction.
const fn job_of(flow: Flow) -> JobKind {
    match flow {
        Flow::RefundReturn => JobKind::Transfer,
        Flow::PayoutReturn => JobKind::WithdrawalReversal,
        // Also for what a dispute moved after its end: the dispute is observed again.
        _ => JobKind::AskStripe,
    }
}

fn pending(movement: &ExternalMovement<'_>, id: TransactionId, clock: &dyn Clock) -> Transaction {
    let now = clock.now();
    let original = movement.original;
    Transaction {
        related_transaction_id: Some(original.id),
        stripe_refund_id: match &movement.reference {
            ExternalRef::Refund(id) => Some(id.clone()),
            _ => None,
        },
        stripe_dispute_id: match &movement.reference {
            ExternalRef::Dispute(id) => Some(id.clone()),
            _ => None,
        },
        ..Transaction::accepted(
            id,
            movement.flow,
            original.wallet_id,
            original.user_id,
            movement.amount,
            now,
        )
    }
}
