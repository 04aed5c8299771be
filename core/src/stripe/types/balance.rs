//! What Stripe holds for us, and the movements that explain every change of it.

use chrono::{DateTime, Utc};

use crate::ids::stripe::{BalanceTransactionId, ChargeId, PaymentIntentId};
use crate::money::Money;

/// A movement of a Stripe balance (<https://docs.stripe.com/reports/balance-transaction-types>). Amounts are signed as the owner of the
/// balance sees them: what leaves it is negative. They are in the currency of the balance, which need not be that of the payment.
#[derive(Debug, Clone)]
pub struct BalanceTransaction {
    /// Its id.
    pub id: BalanceTransactionId,
    /// What moved, before the fee.
    pub amount: Money,
    /// What Stripe kept of it; negative when a fee came back.
    pub fee: Money,
    /// What the balance changed by: `amount` less `fee`.
    pub net: Money,
    /// Stripe's `type`, such as `charge`, `refund` or `adjustment`, in its own word: new ones appear at any time.
    pub kind: String,
    /// The object that explains it, of whatever kind; none for what Stripe does by itself.
    pub source: Option<String>,
    /// When the money can be spent, or could be from.
    pub available_on: DateTime<Utc>,
    /// When it was created.
    pub created: DateTime<Utc>,
}

/// A page of a list of movements.
#[derive(Debug, Clone)]
pub struct BalanceTransactionPage {
    /// The movements, newest first. There is at least one if the list goes on.
    pub transactions: Vec<BalanceTransaction>,
    /// Whether the list goes on in the direction asked for.
    pub has_more: bool,
}

/// One try to move a payer's money.
#[derive(Debug, Clone)]
pub struct Charge {
    /// Its id.
    pub id: ChargeId,
    /// The payment it was tried for.
    pub payment_intent: Option<PaymentIntentId>,
    /// What was charged, in the currency of the payment.
    pub amount: Money,
    /// What it did to the platform's balance, with Stripe's fee; none before the money has moved, and for ever when it failed.
    pub balance_transaction: Option<BalanceTransaction>,
    /// When it was created.
    pub created: DateTime<Utc>,
}

/// What an account holds at Stripe, an amount for each currency; negative when Stripe is owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// What can be sent, paid out and refunded from now.
    pub available: Vec<Money>,
    /// What becomes available later.
    pub pending: Vec<Money>,
    /// What Stripe keeps back for connected accounts whose losses the platform bears
    /// (`connect_reserved`, <https://docs.stripe.com/api/balance/balance_object>): the platform's own, and not to be used for now.
    pub reserved: Vec<Money>,
}

impl Balance {
    /// All that is the account's own, whenever it may be used.
    pub fn all(&self) -> impl Iterator<Item = &Money> {
        self.available.iter().chain(&self.pending).chain(&self.reserved)
    }
}
