//! Transactions that nobody asked us for: Stripe tells of money that moved, and it is booked as a transaction of its own.

use serde_json::json;

use crate::audit::{self, Actor, AuditRecord};
use crate::clock::Clock;
use crate::db::schema::external_refs;
use crate::db::{Db, DbError, in_transaction};
use crate::flows::Flow;
use crate::ids::{IdSource, TransactionId};
use crate::jobs::{self, JobKind, NewJob};
use crate::money::Money;
use crate::transactions::{self, SealedDetails, TimelineKind, Transaction, external_ref};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

/// What was found.
#[derive(Debug, Clone)]
pub struct Found<'a> {
    /// Which kind of movement it is.
    pub flow: Flow,
    /// The transaction it gives back.
    pub original: &'a Transaction,
    /// The Stripe object that it is booked for, once: kind of reference and id.
    pub reference: (&'static str, &'a str),
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
    let (kind, external_id) = found.reference;
    in_transaction!(db, conn => {
        let taken = diesel::insert_into(external_refs::table)
            .values((
                external_refs::kind.eq(kind),
                external_refs::external_id.eq(external_id),
                external_refs::transaction_id.eq(new.id.uuid()),
                external_refs::created_at.eq(now),
            ))
            .on_conflict_do_nothing()
            .execute(conn)
            .await?;
        if taken == 0 {
            let known = transactions::find_by_external_ref(conn, kind, external_id).await?;
            return known.ok_or_else(|| DbError::Inconsistent {
                table: "external_refs",
                column: "transaction_id",
                row: external_id.to_owned(),
            });
        }
        transactions::insert(conn, &new, &SealedDetails::default()).await?;
        jobs::insert(conn, &NewJob::for_transaction(job_of(found.flow), new.id, new.wallets(), now)).await?;
        let detail = Some(json!({ kind: external_id, "transaction": new.id.to_string() }));
        let (words, original) = (found.words.as_str(), found.original.id);
        transactions::record(conn, new.id, ids.next(), now, TimelineKind::Accepted, words, detail.clone()).await?;
        transactions::record(conn, original, ids.next(), now, TimelineKind::StripeEvent, words, detail).await?;
        let entry = AuditRecord {
            at: now,
            actor,
            action: "accept",
            request_id: None,
            transactions: &[new.id],
            wallets: &new.wallets(),
            detail: json!({ "type": new.transaction_type.as_str(), "flow": new.flow.as_str(), kind: external_id }),
        };
        audit::record(conn, &entry).await?;
        Ok::<_, DbError>(new.id)
    })
}

/// What carries the transaction on.
const fn job_of(flow: Flow) -> JobKind {
    match flow {
        Flow::RefundReturn => JobKind::Transfer,
        Flow::PayoutReturn => JobKind::WithdrawalReversal,
        _ => JobKind::AskStripe,
    }
}

fn pending(found: &Found<'_>, id: TransactionId, clock: &dyn Clock) -> Transaction {
    let now = clock.now();
    let (kind, external_id) = found.reference;
    let of_kind = |wanted| (kind == wanted).then(|| external_id.to_owned());
    let original = found.original;
    Transaction {
        related_transaction_id: Some(original.id),
        stripe_refund_id: of_kind(external_ref::REFUND),
        stripe_dispute_id: of_kind(external_ref::DISPUTE),
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
