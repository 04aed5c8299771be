//! Money that goes back to payers: because we send it, or because their banks take it.

use chrono::{DateTime, Utc};

use super::Metadata;
use super::balance::BalanceTransaction;
use crate::ids::stripe::{BalanceTransactionId, ChargeId, DisputeId, PaymentIntentId, RefundId};
use crate::money::Money;
use crate::stripe::status::{DisputeStatus, RefundStatus};

/// Money of a payment sent back to its payer.
#[derive(Debug, Clone)]
pub struct Refund {
    /// Its id.
    pub id: RefundId,
    /// How far it is.
    pub status: RefundStatus,
    /// How much, in the currency of the payment.
    pub amount: Money,
    /// The payment it gives back.
    pub payment_intent: Option<PaymentIntentId>,
    /// The charge it gives back.
    pub charge: Option<ChargeId>,
    /// The movement that took the money from the platform's balance; none while it waits for funds.
    pub balance_transaction: Option<BalanceTransactionId>,
    /// The movement that brought the money back after it failed.
    pub failure_balance_transaction: Option<BalanceTransactionId>,
    /// Why it failed, such as `lost_or_stolen_card`.
    pub failure_reason: Option<String>,
    /// Why it is pending: `processing`, `insufficient_funds` or `charge_pending`.
    pub pending_reason: Option<String>,
    /// Carries `transaction_id` and `wallet_id`; none on refunds made in the dashboard.
    pub metadata: Metadata,
    /// When it was created.
    pub created: DateTime<Utc>,
}

/// A payer's bank taking a payment back.
#[derive(Debug, Clone)]
pub struct Dispute {
    /// Its id.
    pub id: DisputeId,
    /// How far it is; it says nothing of the money.
    pub status: DisputeStatus,
    /// How much the bank questions, which may be less or even more than was paid.
    pub amount: Money,
    /// The payment in question.
    pub payment_intent: Option<PaymentIntentId>,
    /// The charge in question.
    pub charge: ChargeId,
    /// The bank's reason, such as `fraudulent`.
    pub reason: String,
    /// Every movement of money so far: taken, given back, and Stripe's fee. None for an inquiry.
    pub balance_transactions: Vec<BalanceTransaction>,
    /// When it was created.
    pub created: DateTime<Utc>,
}
