//! How the payments stand at Stripe whose money lies in suspense for a deposit: what of them is disputed, on its way back, or left to give back.

use rust_decimal::Decimal;
use wallet_core::money::{Money, MoneyError};
use wallet_core::stripe::{
    Dispute, DisputeStatus, Lane, PaymentIntent, PaymentIntentId, Refund, RefundStatus,
};
use wallet_core::transactions::{self, ExternalRef, RefKind, Transaction};

use crate::job_error::JobError;
use crate::worker::Worker;

/// The payments whose money came to lie in suspense for a deposit.
pub(crate) async fn payments_of(
    worker: &Worker,
    deposit: &Transaction,
) -> Result<Vec<PaymentIntentId>, JobError> {
    let conn = &mut worker.db.conn().await?;
    Ok(transactions::external_refs_of(conn, deposit.id, RefKind::LatePayment).await?)
}

/// A payment as Stripe shows it.
pub(crate) struct SuspendedPayment {
    pub(crate) intent: PaymentIntentId,
    paid: PaymentIntent,
    refunds: Vec<Refund>,
    disputes: Vec<Dispute>,
}

impl SuspendedPayment {
    /// Asks Stripe about it.
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

    /// Whether the payer's bank disputes it and has not decided.
    pub(crate) fn is_disputed(&self) -> bool {
        self.disputes.iter().any(|dispute| !dispute.status.is_final())
    }

    /// Whether a refund of it may be under way, whoever made it: until it is final, and booked, what lies in suspense may still go.
    pub(crate) async fn is_being_returned(&self, worker: &Worker) -> Result<bool, JobError> {
        for refund in &self.refunds {
            let is_settled = match refund.status {
                RefundStatus::Failed | RefundStatus::Canceled => true,
                // Its event may still be on its way.
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

    /// What of it can still be refunded, in the payment's currency; none when nothing can: all of it went back or is going back, or the payer's bank
    /// has taken of it for good, after which Stripe refuses every refund (<https://docs.stripe.com/error-codes#charge-disputed>).
    ///
    /// # Errors
    /// When the amounts are of several currencies: then nobody here knows.
    pub(crate) fn left(&self) -> Result<Option<Money>, MoneyError> {
        if self.disputes.iter().any(took) {
            return Ok(None);
        }
        self.unreturned()
    }

    /// What of it neither went back, nor is going back, nor was taken by the payer's bank, in the payment's currency.
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

    /// Whether what came of it is in another currency than it was paid in.
    pub(crate) fn is_converted_from(&self, came: Money) -> bool {
        self.paid.currency() != came.currency()
    }
}

/// Whether a dispute has ended with money of the payment gone. One that was prevented may have given it back to the payer by itself
/// (<https://docs.stripe.com/disputes/prevention>).
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
