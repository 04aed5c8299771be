//! Transactions that nobody asked us for: Stripe tells of money that moved, and it is booked as a transaction of its own.

use serde_json::json;

use crate::audit::{self, Actor, AuditRecord};
use crate::clock::Clock;
use crate::db::{Db, DbError, PgConn, in_transaction};
use crate::ids::{IdSource, TransactionId};
use crate::jobs::{self, JobKind, NewJob};
use crate::money::Money;
use crate::transactions::{self, ExternalRef, Flow, TimelineKind, Transaction};
use chrono::{DateTime, Utc};

/// What was found.
#[derive(Debug, Clone)]
pub struct Found<'a> {
    /// Which kind of movement it is.
    pub flow: Flow,
    /// The transaction it gives back.
    pub original: &'a Transaction,
    /// The Stripe object that it is booked for, once.
    pub reference: ExternalRef,
    /// A second object that leads to the same transaction in the same way, when Stripe names one by now.
    pub also: Option<ExternalRef>,
    /// How much, in the wallet's currency.
    pub amount: Money,
    /// What happened, for the owner: a line on the timeline of both transactions.
    pub words: String,
}

/// Stores the pending transaction of what was found, with its job, once; gives the id of the one that is there.
///
/// # Errors
/// When the database cannot be reached.
pub async fn open_found(
    db: &Db,
    ids: &dyn IdSource,
    clock: &dyn Clock,
    actor: &Actor,
    found: &Found<'_>,
) -> Result<TransactionId, DbError> {
    let (new, now) = (
        pending(found, TransactionId::from_uuid(ids.next()), clock),
        clock.now(),
    );
    let (kind, external_id) = (found.reference.kind().as_str(), found.reference.id());
    in_transaction!(db, conn => {
        if let Some(known) = take_references(conn, found, new.id, now).await? {
            return Ok(known);
        }
        transactions::insert(conn, &new).await?;
        jobs::insert(conn, &NewJob::for_transaction(job_of(found.flow), new.id, new.wallets(), now)).await?;
        let detail = Some(json!({ kind: external_id, "transaction": new.id.to_string() }));
        let (words, original) = (found.words.as_str(), found.original.id);
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

/// Takes the references for `new`, or gives the transaction that one of them leads to already; then both lead there.
async fn take_references(
    conn: &mut PgConn,
    found: &Found<'_>,
    new: TransactionId,
    now: DateTime<Utc>,
) -> Result<Option<TransactionId>, DbError> {
    let also = match &found.also {
        Some(also) => transactions::find_by_external_ref(conn, also).await?,
        None => None,
    };
    let holder = transactions::take_reference(conn, &found.reference, also.unwrap_or(new), now).await?;
    if let Some(also) = &found.also {
        let second = transactions::take_reference(conn, also, holder, now).await?;
        if second != holder {
            // Somebody else has booked it by the second object meanwhile: again, now that both can be seen.
            return Err(DbError::Overtaken);
        }
    }
    Ok((holder != new).then_some(holder))
}

/// What carries the transaction on.
const fn job_of(flow: Flow) -> JobKind {
    match flow {
        Flow::RefundReturn => JobKind::Transfer,
        Flow::PayoutReturn => JobKind::WithdrawalReversal,
        // Also of what a dispute moved after its end: the dispute is looked at again.
        _ => JobKind::AskStripe,
    }
}

fn pending(found: &Found<'_>, id: TransactionId, clock: &dyn Clock) -> Transaction {
    let now = clock.now();
    let original = found.original;
    Transaction {
        related_transaction_id: Some(original.id),
        stripe_refund_id: match &found.reference {
            ExternalRef::Refund(id) => Some(id.clone()),
            _ => None,
        },
        stripe_dispute_id: match &found.reference {
            ExternalRef::Dispute(id) => Some(id.clone()),
            _ => None,
        },
        ..Transaction::accepted(
            id,
            found.flow,
            original.wallet_id,
            original.user_id,
            found.amount,
            now,
        )
    }
}
