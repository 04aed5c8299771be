//! The state at Stripe of payments whose money lies in suspense for a deposit: what is disputed, being returned, or left to return.

use rust_decimal::Decimal;
use wallet_core::money::{Money, MoneyError};
use wallet_core::stripe::{
    Dispute, DisputeStatus, Lane, PaymentIntent, PaymentIntentId, Refund, RefundStatus,
};
use wallet_core::transactions::{self, ExternalRef, RefKind, Transaction};

use crate::job_error::JobError;
use crate::worker::Worker;

/// Returns the payments whose money was put into suspense for a deposit.
pub(crate) async fn payments_of(
    worker: &Worker,
    deposit: &Transaction,
) -> Result<Vec<PaymentIntentId>, JobError> {
    let conn = &mut worker.db.conn().await?;
    Ok(transactions::external_refs_of(conn, deposit.id, RefKind::LatePayment).await?)
}

/// A payment in its current state at Stripe.
pub(crate) struct SuspendedPayment {
    pub(crate) intent: PaymentIntentId,
    paid: PaymentIntent,
    refunds: Vec<Refund>,
    disputes: Vec<Dispute>,
}

impl SuspendedPayment {
    /// Reads the payment, its refunds and its disputes from Stripe.
    pub(crate) async fn ask(worker: &Worker, lane: Lane, intent: PaymentIntentId) -> Result<Self, JobError> {
        let (calls, client) = (&worker.calls, worker.calls.client());
        let paid = calls.ask(lane, client.retrieve_payment_intent(&intent)).await?;
        let refunds = calls.ask(lane, client.list_refunds(&intent)).await?;
        let disputes = calls.ask(lane, client.list_disputes(&intent)).await?;
        Ok(Self {
            intent,
            paid,
            refunds,
            disputes,
        })
    }

    /// Whether the payer's bank disputes the payment and has not decided yet.
    pub(crate) fn is_disputed(&self) -> bool {
        self.disputes.iter().any(|dispute| !dispute.status.is_final())
    }

    /// Whether a refund of the payment may be under way, whoever made it: until it is final and booked, suspense may still change.
    pub(crate) async fn is_being_returned(&self, worker: &Worker) -> Result<bool, JobError> {
        for refund in &self.refunds {
            let is_settled = match refund.status {
                RefundStatus::Failed | RefundStatus::Canceled => true,
                // Its event may not have arrived yet.
                RefundStatus::Succeeded => {
                    let conn = &mut worker.db.conn().await?;
                    transactions::find_by_external_ref(conn, &ExternalRef::Refund(refund.id.clone()))
                        .await?
                        .is_some()
                }
                RefundStatus::Pending | RefundStatus::RequiresAction | RefundStatus::Unknown(_) => false,
            };
            if !is_settled {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns what can still be refunded, in the payment's currency, or `None` if nothing can: all of it was or is being returned, or the payer's
    /// bank has taken money of it for good, after which Stripe refuses every refund (<https://docs.stripe.com/error-codes#charge-disputed>).
    ///
    /// # Errors
    /// If the amounts are in several currencies: then what is left is unknown.
    pub(crate) fn left(&self) -> Result<Option<Money>, MoneyError> {
        if self.disputes.iter().any(took) {
            return Ok(None);
        }
        self.unreturned()
    }

    /// Returns what was neither returned, nor is being returned, nor was taken by the payer's bank, in the payment's currency.
    ///
    /// # Errors
    /// As [`SuspendedPayment::left`].
    pub(crate) fn unreturned(&self) -> Result<Option<Money>, MoneyError> {
        let refunded = self
            .refunds
            .iter()
            .filter(|refund| !matches!(refund.status, RefundStatus::Failed | RefundStatus::Canceled))
            .map(|refund| refund.amount);
        let taken = self.disputes.iter().filter(|dispute| took(dispute));
        let left = refunded
            .chain(taken.map(|dispute| dispute.amount))
            .try_fold(self.paid.amount_received, Money::checked_sub)?;
        Ok(Some(left).filter(|left| left.is_positive()))
    }

    /// Whether the money that arrived is in another currency than the payment.
    pub(crate) fn is_converted_from(&self, came: Money) -> bool {
        self.paid.currency() != came.currency()
    }
}

/// Whether a dispute has ended with money of the payment gone. A prevented dispute may have returned the
/// money to the payer (<https://docs.stripe.com/disputes/prevention>).
fn took(dispute: &Dispute) -> bool {
    let moved: Decimal = (dispute.balance_transactions.iter())
        .map(|movement| movement.amount.amount())
        .sum();
    match dispute.status {
        DisputeStatus::Lost => true,
        DisputeStatus::Prevented => moved.is_sign_negative() && !moved.is_zero(),
        _ => false,
    }
}
