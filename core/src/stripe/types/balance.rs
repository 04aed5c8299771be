//! The balances that Stripe holds for us, and the movements that explain every change of them.

use chrono::{DateTime, Utc};

use crate::ids::stripe::{BalanceTransactionId, ChargeId, PaymentIntentId};
use crate::money::Money;

/// A movement of a Stripe balance (<https://docs.stripe.com/reports/balance-transaction-types>). Amounts are signed from the view of the balance's
/// owner: what leaves the balance is negative. They are in the currency of the balance, which need not be that of the payment.
#[derive(Debug, Clone)]
pub struct BalanceTransaction {
    /// The movement's id.
    pub id: BalanceTransactionId,
    /// The amount that moved, before the fee.
    pub amount: Money,
    /// The part of it that Stripe kept; negative if a fee was returned.
    pub fee: Money,
    /// The change of the balance: `amount` less `fee`.
    pub net: Money,
    /// Stripe's `type`, such as `charge`, `refund` or `adjustment`, unchanged: new types appear at any time.
    pub kind: String,
    /// The id of the object that explains it, of any kind; `None` for what Stripe does by itself.
    pub source: Option<String>,
    /// When the money becomes available to spend, or became so.
    pub available_on: DateTime<Utc>,
    /// When it was created.
    pub created: DateTime<Utc>,
}

/// A page of a list of movements.
#[derive(Debug, Clone)]
pub struct BalanceTransactionPage {
    /// The movements, newest first. There is at least one if the list continues.
    pub transactions: Vec<BalanceTransaction>,
    /// Whether the list continues in the requested direction.
    pub has_more: bool,
}

/// A charge: one try to move a payer's money.
#[derive(Debug, Clone)]
pub struct Charge {
    /// The charge's id.
    pub id: ChargeId,
    /// The payment for which it was made.
    pub payment_intent: Option<PaymentIntentId>,
    /// The amount charged, in the currency of the payment.
    pub amount: Money,
    /// The movement of the platform's balance, with Stripe's fee; `None` until the money has moved, and for ever if the charge failed.
    pub balance_transaction: Option<BalanceTransaction>,
    /// When it was created.
    pub created: DateTime<Utc>,
}

/// The money that an account holds at Stripe, one amount for each currency; negative if it is owed to Stripe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// The money that can be sent, paid out and refunded now.
    pub available: Vec<Money>,
    /// The money that becomes available later.
    pub pending: Vec<Money>,
    /// The money that Stripe holds back for connected accounts whose losses the platform bears
    /// (`connect_reserved`, <https://docs.stripe.com/api/balance/balance_object>): it belongs to the platform, but cannot be used for now.
    pub reserved: Vec<Money>,
}

impl Balance {
    /// Returns all amounts that belong to the account, whenever they can be used.
    pub fn all(&self) -> impl Iterator<Item = &Money> {
        self.available.iter().chain(&self.pending).chain(&self.reserved)
    }
}
