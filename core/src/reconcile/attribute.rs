//! Attributing movements to transactions: by the references that settlement wrote, else by reading the object behind the movement at Stripe.

use std::collections::{HashMap, HashSet};

use diesel::QueryableByName;
use diesel::sql_types::{Array, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::ask::{Asker, Patience};
use super::report::Cause;
use super::{ReconcileError, own};
use crate::db::{Db, DbError, Only, sql};
use crate::ids::TransactionId;
use crate::stripe::{BalanceTransaction, CallError, Disposition, PaymentIntentId, RefundStatus, StripeError};
use crate::transactions::{self, ExternalRef, Flow, RefKind, Transaction};

/// The maximum number of requests for single objects; unknown movements beyond these are reported without one.
const MOST_QUESTIONS: u32 = 1_000;

/// The kinds of references that lead from a movement to a transaction.
const OF_MOVEMENTS: &[RefKind] = &[RefKind::BalanceTransaction, RefKind::Return];

/// Returns the kinds that lead from the object behind a movement, the nearest first. A refund, and the return of its money when it fails, have one
/// object and may be two transactions (<https://docs.stripe.com/reports/balance-transaction-types>).
fn of_sources(kind: &str) -> &'static [RefKind] {
    match kind {
        "refund" | "payment_refund" => &[RefKind::Refund, RefKind::RefundBegun, RefKind::Return],
        "refund_failure" | "payment_refund_failure" => {
            &[RefKind::Return, RefKind::Refund, RefKind::RefundBegun]
        }
        _ => &[
            RefKind::PaymentIntent,
            RefKind::Transfer,
            RefKind::TransferReversal,
            RefKind::Refund,
            RefKind::Dispute,
            RefKind::BalanceTransaction,
            RefKind::Return,
        ],
    }
}

/// The transactions to which objects lead, by kind and id.
#[derive(Debug, Default)]
struct References(HashMap<(RefKind, String), TransactionId>);

impl References {
    fn of(&self, movement: &BalanceTransaction) -> Option<TransactionId> {
        let found = |kinds: &[RefKind], id: &str| {
            let lead = |kind: &RefKind| self.0.get(&(*kind, id.to_owned())).copied();
            kinds.iter().find_map(lead)
        };
        found(OF_MOVEMENTS, movement.id.as_str()).or_else(|| {
            let source = movement.source.as_deref()?;
            found(of_sources(&movement.kind), source)
        })
    }
}

/// The owner of a movement.
pub(super) enum Attribution {
    /// It belongs to this transaction.
    Transaction(TransactionId),
    /// It is the platform's own business.
    Own,
    /// It belongs to no transaction in the database, but may refund or dispute one.
    Missed {
        /// The transaction that it refunds or disputes, or that its object names and the database does not have.
        of: Option<TransactionId>,
        /// Why there is no transaction.
        cause: Cause,
    },
}

/// Attributes movements.
pub(super) struct Attributor<'a> {
    db: &'a Db,
    asker: Asker<'a>,
    asked: u32,
}

#[derive(QueryableByName)]
struct RefRow {
    #[diesel(sql_type = Text)]
    kind: RefKind,
    #[diesel(sql_type = Text)]
    external_id: String,
    #[diesel(sql_type = SqlUuid)]
    transaction_id: Uuid,
}

impl<'a> Attributor<'a> {
    pub(super) const fn new(asker: Asker<'a>) -> Self {
        Self {
            db: asker.db,
            asker,
            asked: 0,
        }
    }

    /// Returns one attribution for each movement, in their order.
    pub(super) async fn page(
        &mut self,
        movements: &[BalanceTransaction],
    ) -> Result<Vec<Attribution>, ReconcileError> {
        let ids: Vec<&str> = movements
            .iter()
            .flat_map(|movement| std::iter::once(movement.id.as_str()).chain(movement.source.as_deref()))
            .collect();
        let refs = self.references(&ids).await?;
        let explained = self.explained(&ids).await?;
        let mut attributions = Vec::with_capacity(movements.len());
        for movement in movements {
            attributions.push(match refs.of(movement) {
                Some(id) => Attribution::Transaction(id),
                None if own::is_own(&movement.kind) || explained.contains(movement.id.as_str()) => {
                    Attribution::Own
                }
                None => self.ask(movement).await?,
            });
        }
        Ok(attributions)
    }

    async fn references(&self, ids: &[&str]) -> Result<References, DbError> {
        let kinds = [OF_MOVEMENTS, of_sources(""), of_sources("refund")].concat();
        let rows: Vec<RefRow> = sql(
            "SELECT kind, external_id, transaction_id FROM external_refs WHERE kind = ANY($1) AND external_id = ANY($2)",
        )
        .bind::<Array<Text>, _>(kinds)
        .bind::<Array<Text>, _>(ids)
        .load(&mut self.db.conn().await?)
        .await?;
        let of = |row: RefRow| {
            let object = (row.kind, row.external_id);
            (object, TransactionId::from_uuid(row.transaction_id))
        };
        Ok(References(rows.into_iter().map(of).collect()))
    }

    async fn explained(&self, ids: &[&str]) -> Result<HashSet<String>, DbError> {
        let rows: Vec<Only<Text, String>> = sql("SELECT id FROM platform_movements WHERE id = ANY($1)")
            .bind::<Array<Text>, _>(ids)
            .load(&mut self.db.conn().await?)
            .await?;
        Ok(rows.into_iter().map(|row| row.value).collect())
    }

    /// Attributes a movement by reading the object behind it at Stripe.
    async fn ask(&mut self, movement: &BalanceTransaction) -> Result<Attribution, ReconcileError> {
        let outside = Attribution::Missed {
            of: None,
            cause: Cause::MadeOutside,
        };
        let Some(source) = movement.source.as_deref() else {
            return Ok(outside);
        };
        if self.asked >= MOST_QUESTIONS {
            return Ok(outside);
        }
        self.asked += 1;
        match movement.kind.as_str() {
            "charge" | "payment" => self.charge(source).await,
            "payment_failure_refund" => self.failed_payment(source).await,
            "refund" | "payment_refund" | "refund_failure" | "payment_refund_failure" => {
                self.refund(source).await
            }
            "transfer" => self.transfer(source).await,
            "adjustment" => self.dispute(source).await,
            // Only its event shows to which transfer it belongs.
            "transfer_refund" | "transfer_cancel" | "transfer_failure" => Ok(Attribution::Missed {
                of: None,
                cause: Cause::EventNotReceived,
            }),
            _ => Ok(outside),
        }
    }

    async fn charge(&self, source: &str) -> Result<Attribution, ReconcileError> {
        let Ok(id) = source.parse() else {
            return Ok(outside());
        };
        let Some(charge) = self
            .find(|| self.asker.calls.client().retrieve_charge(&id))
            .await?
        else {
            return Ok(outside());
        };
        let Some(intent) = charge.payment_intent else {
            return Ok(outside());
        };
        if let Some(deposit) = self.paid_by(&intent).await? {
            return Ok(Attribution::Transaction(deposit.id));
        }
        // Our own record of the intent may still be missing.
        let intent = self
            .find(|| self.asker.calls.client().retrieve_payment_intent(&intent))
            .await?;
        let claimed = intent.and_then(|intent| intent.metadata.transaction_id);
        match self.transaction(claimed, Flow::Deposit).await? {
            Some(deposit) => Ok(Attribution::Transaction(deposit.id)),
            None => self.claimed_by(claimed).await,
        }
    }

    /// Attributes what reverses a debit that its bank has refused (<https://docs.stripe.com/reports/balance-transaction-types>). Its source is not
    /// documented: a charge (<https://docs.stripe.com/api/charges/object>) has it as its `failure_balance_transaction`, and a source may be a refund,
    /// `pyr_…`, too (<https://docs.stripe.com/api/balance_transactions/object>). Both lead to the payment, with which it sums to zero.
    async fn failed_payment(&self, source: &str) -> Result<Attribution, ReconcileError> {
        let Ok(id) = source.parse() else {
            return self.charge(source).await;
        };
        let refund = self
            .find(|| self.asker.calls.client().retrieve_refund(&id))
            .await?;
        match refund.and_then(|refund| refund.charge) {
            Some(charge) => self.charge(charge.as_str()).await,
            None => Ok(outside()),
        }
    }

    async fn refund(&self, source: &str) -> Result<Attribution, ReconcileError> {
        let Ok(id) = source.parse() else {
            return Ok(outside());
        };
        let Some(refund) = self
            .find(|| self.asker.calls.client().retrieve_refund(&id))
            .await?
        else {
            return Ok(outside());
        };
        if let Some(ours) = self
            .transaction(refund.metadata.transaction_id, Flow::DepositRefund)
            .await?
        {
            return Ok(Attribution::Transaction(ours.id));
        }
        match self.claimed_by(refund.metadata.transaction_id).await? {
            lost @ Attribution::Missed {
                cause: Cause::NotInBooks,
                ..
            } => Ok(lost),
            // A failed refund has no lasting effect: what it moved there and back belongs to the deposit, and sums to zero.
            _ if matches!(refund.status, RefundStatus::Failed | RefundStatus::Canceled) => {
                let deposit = self.deposit_of(refund.payment_intent.as_ref()).await?;
                Ok(deposit.map_or_else(outside, |deposit| Attribution::Transaction(deposit.id)))
            }
            _ => self.gives_back(refund.payment_intent.as_ref()).await,
        }
    }

    async fn dispute(&self, source: &str) -> Result<Attribution, ReconcileError> {
        let Ok(id) = source.parse() else {
            return Ok(outside());
        };
        match self
            .find(|| self.asker.calls.client().retrieve_dispute(&id))
            .await?
        {
            Some(dispute) => self.gives_back(dispute.payment_intent.as_ref()).await,
            None => Ok(outside()),
        }
    }

    async fn transfer(&self, source: &str) -> Result<Attribution, ReconcileError> {
        let Ok(id) = source.parse() else {
            return Ok(outside());
        };
        let Some(transfer) = self
            .find(|| self.asker.calls.client().retrieve_transfer(&id))
            .await?
        else {
            return Ok(outside());
        };
        // A second transfer for a withdrawal does not belong to it, whatever its metadata says.
        let ours = self
            .transaction(transfer.metadata.transaction_id, Flow::Withdrawal)
            .await?
            .filter(|ours| {
                ours.stripe_account_id == transfer.destination && ours.stripe_transfer_id.is_none()
            });
        match ours {
            Some(ours) => Ok(Attribution::Transaction(ours.id)),
            None => self.claimed_by(transfer.metadata.transaction_id).await,
        }
    }

    /// Attributes an object by the transaction that it names: if the database does not have it, we created the object; otherwise we did not.
    async fn claimed_by(&self, id: Option<TransactionId>) -> Result<Attribution, ReconcileError> {
        let Some(id) = id else {
            return Ok(outside());
        };
        let found = transactions::find(&mut *self.db.conn().await?, id).await?;
        Ok(if found.is_some() {
            outside()
        } else {
            Attribution::Missed {
                of: Some(id),
                cause: Cause::NotInBooks,
            }
        })
    }

    /// Attributes money of a payment that was refunded or disputed without our having received the event.
    async fn gives_back(&self, intent: Option<&PaymentIntentId>) -> Result<Attribution, ReconcileError> {
        let deposit = self.deposit_of(intent).await?;
        Ok(deposit.map_or_else(outside, |deposit| Attribution::Missed {
            of: Some(deposit.id),
            cause: Cause::EventNotReceived,
        }))
    }

    async fn deposit_of(&self, intent: Option<&PaymentIntentId>) -> Result<Option<Transaction>, DbError> {
        match intent {
            Some(intent) => self.paid_by(intent).await,
            None => Ok(None),
        }
    }

    async fn paid_by(&self, intent: &PaymentIntentId) -> Result<Option<Transaction>, DbError> {
        let known = {
            let conn = &mut self.db.conn().await?;
            transactions::find_by_external_ref(conn, &ExternalRef::PaymentIntent(intent.clone())).await?
        };
        self.transaction(known, Flow::Deposit).await
    }

    async fn transaction(
        &self,
        id: Option<TransactionId>,
        flow: Flow,
    ) -> Result<Option<Transaction>, DbError> {
        let Some(id) = id else {
            return Ok(None);
        };
        let found = transactions::find(&mut *self.db.conn().await?, id).await?;
        Ok(found.filter(|found| found.flow == flow))
    }

    /// Reads an object at Stripe; returns `None` if Stripe does not have it.
    async fn find<T, F>(&self, question: impl FnMut() -> F) -> Result<Option<T>, ReconcileError>
    where
        F: Future<Output = Result<T, StripeError>>,
    {
        match self.asker.ask(Patience::Refusal, question).await {
            Ok(object) => Ok(Some(object)),
            Err(ReconcileError::Call(CallError::Stripe(error)))
                if matches!(
                    error.disposition(),
                    Disposition::FailDefinite | Disposition::NeedsReview
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

fn outside() -> Attribution {
    Attribution::Missed {
        of: None,
        cause: Cause::MadeOutside,
    }
}
