//! Money returned to payers: because we send it, or because their banks take it.

use chrono::{DateTime, Utc};

use super::Metadata;
use super::balance::BalanceTransaction;
use crate::ids::stripe::{BalanceTransactionId, ChargeId, DisputeId, PaymentIntentId, RefundId};
use crate::money::Money;
use crate::stripe::status::{DisputeStatus, RefundStatus};

/// A refund: money of a payment that is sent back to its payer.
#[derive(Debug, Clone)]
pub struct Refund {
    /// The refund's id.
    pub id: RefundId,
    /// The status of the refund.
    pub status: RefundStatus,
    /// The amount refunded, in the currency of the payment.
    pub amount: Money,
    /// The payment that it refunds.
    pub payment_intent: Option<PaymentIntentId>,
    /// The charge that it refunds.
    pub charge: Option<ChargeId>,
    /// The movement that took the money from the platform's balance; `None` while the refund waits for funds.
    pub balance_transaction: Option<BalanceTransactionId>,
    /// The movement that returned the money after the refund failed.
    pub failure_balance_transaction: Option<BalanceTransactionId>,
    /// Why it failed, such as `lost_or_stolen_card`.
    pub failure_reason: Option<String>,
    /// Why it is pending: `processing`, `insufficient_funds` or `charge_pending`.
    pub pending_reason: Option<String>,
    /// Contains `transaction_id` and `wallet_id`; no ids on refunds made in the dashboard.
    pub metadata: Metadata,
    /// When it was created.
    pub created: DateTime<Utc>,
}

/// A dispute: a payer's bank takes a payment back.
#[derive(Debug, Clone)]
pub struct Dispute {
    /// The dispute's id.
    pub id: DisputeId,
    /// The status of the dispute; it shows nothing about the money.
    pub status: DisputeStatus,
    /// The amount that the bank disputes, which may be less or even more than was paid.
    pub amount: Money,
    /// The disputed payment.
    pub payment_intent: Option<PaymentIntentId>,
    /// The disputed charge.
    pub charge: ChargeId,
    /// The bank's reason, such as `fraudulent`.
    pub reason: String,
    /// Every movement of money so far: taken, returned, and Stripe's fee. Empty for an inquiry.
    pub balance_transactions: Vec<BalanceTransaction>,
    /// When it was created.
    pub created: DateTime<Utc>,
}
