//! Accepting the request to cancel a transaction: a worker cancels it, if nothing irreversible has happened by then.

use serde_json::json;

use super::{AcceptError, Accepted, Acceptor, Caller, checks};
use crate::audit::{self, Actor, AuditRecord};
use crate::db::in_transaction;
use crate::flows::{Event, Next, edges, next};
use crate::jobs::{JobKind, NewJob};
use crate::transactions::{
    self, CancelRequest, Canceller, Flow, Stage, TimelineKind, Transaction, TransactionStatus,
};

impl Acceptor {
    /// Accepts the request to cancel `transaction`, and returns the transaction as it is now. Nothing changes if it was requested before or the
    /// transaction is cancelled already: the first request is kept until it is carried out or too late.
    ///
    /// # Errors
    /// Any [`AcceptError`]; nothing is stored in that case.
    pub async fn cancel(&self, caller: &Caller, transaction: &str) -> Result<Transaction, AcceptError> {
        let id = checks::transaction_id(transaction)?;
        let accepted = in_transaction!(self.db, conn => {
            let transaction = checks::seen_transaction(conn, caller, id).await?;
            if transaction.user_id != caller.user_id && !caller.role.repairs() {
                let who_may = "only the person who asked for a transaction, or an operator, may cancel it";
                return Err(AcceptError::Forbidden(who_may));
            }
            if transaction.stage == Stage::Cancelled {
                return Ok(Accepted { transaction, queued: None });
            }
            check(&transaction)?;
            let now = self.clock.now();
            let by = if transaction.user_id == caller.user_id { Canceller::Owner } else { Canceller::Operator };
            if !transactions::request_cancel(conn, id, CancelRequest { at: now, by }).await? {
                return Ok(Accepted { transaction, queued: None });
            }
            let job = NewJob {
                unique_key: Some(format!("cancel:{id}")),
                ..NewJob::for_transaction(JobKind::Cancel, id, transaction.wallets(), now)
            };
            let queued = self.submitter.insert(conn, &job).await?;
            if queued.is_none() {
                return Ok(Accepted { transaction, queued });
            }
            let words = "cancellation asked for";
            transactions::record(conn, id, self.ids.next(), now, TimelineKind::Waiting, words, None).await?;
            let actor = Actor::User(caller.user_id);
            let entry = AuditRecord {
                request_id: caller.request_id.as_deref(),
                transactions: &[id],
                wallets: &transaction.wallets(),
                detail: json!({ "stage": transaction.stage.as_str(), "role": caller.role.as_str() }),
                ..AuditRecord::new(now, &actor, "cancel")
            };
            audit::record(conn, &entry).await?;
            Ok(Accepted { transaction, queued })
        })?;
        Ok(self.dispatched(accepted).await)
    }
}

fn check(transaction: &Transaction) -> Result<(), AcceptError> {
    let waits_for_payer = transaction.flow == Flow::Deposit && transaction.stage == Stage::AwaitingPayment;
    let has_edge = matches!(
        next(edges(transaction.flow), transaction.stage, Event::Cancelled),
        Next::To(_)
    );
    if waits_for_payer || has_edge {
        return Ok(());
    }
    let can_be_refunded = matches!(transaction.flow, Flow::Deposit | Flow::Payment);
    let why = match transaction.status {
        TransactionStatus::Completed if can_be_refunded => "it is completed; ask for a refund instead",
        TransactionStatus::Completed => "it is completed",
        TransactionStatus::Failed => "it has failed already",
        _ => "the money is on its way",
    };
    Err(AcceptError::InvalidState(format!("cannot be cancelled: {why}")))
}
