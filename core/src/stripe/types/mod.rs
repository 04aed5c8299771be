//! Stripe's answers, reduced to the fields on which the wallet bases its decisions.

mod accounts;
mod balance;
mod next_action;
mod refunds;

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};

pub use accounts::{Account, AccountLink};
pub use balance::{Balance, BalanceTransaction, BalanceTransactionPage, Charge};
pub use next_action::NextAction;
pub use refunds::{Dispute, Refund};

use super::event::Envelope;
use super::status::{CancellationReason, PaymentIntentStatus, PayoutStatus, ReversalStatus};
use crate::ids::stripe::{
    AccountId, BalanceTransactionId, ChargeId, CustomerId, ExternalAccountId, PaymentIntentId, PayoutId,
    RefundId, ReversalId, StripeTransferId,
};
use crate::ids::{TransactionId, UserId, WalletId};
use crate::money::{Currency, Money};

/// An object that a creating call makes; `stripe_calls` records its id.
pub trait StripeObject {
    /// The type of its id.
    type Id: Clone + fmt::Debug + FromStr + AsRef<str> + Send + Sync;

    /// Returns the object's id at Stripe.
    fn id(&self) -> &Self::Id;
}

macro_rules! stripe_object {
    ($($name:ident by $id:ident),+) => {
        $(impl StripeObject for $name {
            type Id = $id;

            fn id(&self) -> &$id {
                &self.id
            }
        })+
    };
}
stripe_object!(
    Customer by CustomerId,
    PaymentIntent by PaymentIntentId,
    Transfer by StripeTransferId,
    Payout by PayoutId,
    Reversal by ReversalId,
    Refund by RefundId,
    Account by AccountId
);

/// The ids to which an object claims to belong. They are read leniently: a missing or malformed one is `None`, never an error.
/// Nothing here is trusted without our own row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Metadata {
    /// `metadata.transaction_id`.
    pub transaction_id: Option<TransactionId>,
    /// `metadata.wallet_id`.
    pub wallet_id: Option<WalletId>,
    /// `metadata.user_id`, of customers and accounts.
    pub user_id: Option<UserId>,
}

impl Metadata {
    /// Reads the ids from Stripe's map.
    #[must_use]
    pub fn from_map(map: &HashMap<String, String>) -> Self {
        Self::from_lookup(|key| map.get(key).map(String::as_str))
    }

    /// Reads the ids from any source that finds a text by its key.
    pub(super) fn from_lookup<'a>(find: impl Fn(&str) -> Option<&'a str>) -> Self {
        Self {
            transaction_id: find("transaction_id").and_then(|text| text.parse().ok()),
            wallet_id: find("wallet_id").and_then(|text| text.parse().ok()),
            user_id: find("user_id").and_then(|text| text.parse().ok()),
        }
    }
}

/// The secret with which a payer's browser confirms a payment; never logged, stored encrypted.
#[derive(Clone)]
pub struct ClientSecret(SecretString);

impl ClientSecret {
    /// Wraps the secret.
    #[must_use]
    pub fn new(secret: String) -> Self {
        Self(SecretString::from(secret))
    }

    /// Returns the secret, for sealing it or for handing it to its owner.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(…)")
    }
}

/// Why a payment was refused by the bank or by Stripe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decline {
    /// Stripe's error code, such as `card_declined`.
    pub code: Option<String>,
    /// The issuer's reason, such as `insufficient_funds`.
    pub decline_code: Option<String>,
    /// A sentence that Stripe wrote for the payer.
    pub message: Option<String>,
}

/// A customer: a person at Stripe.
#[derive(Debug, Clone)]
pub struct Customer {
    /// The customer's id.
    pub id: CustomerId,
    /// Contains `user_id`.
    pub metadata: Metadata,
}

/// A payment intent: one payment, from its creation to its end.
#[derive(Debug, Clone)]
pub struct PaymentIntent {
    /// The intent's id.
    pub id: PaymentIntentId,
    /// The status of the payment.
    pub status: PaymentIntentStatus,
    /// Why it was cancelled, if it was.
    pub cancellation_reason: Option<CancellationReason>,
    /// The amount to pay.
    pub amount: Money,
    /// The amount that was paid; a deposit credits this amount.
    pub amount_received: Money,
    /// The secret with which the payer's client confirms it.
    pub client_secret: Option<ClientSecret>,
    /// The customer who pays.
    pub customer: Option<CustomerId>,
    /// The newest charge made for it.
    pub latest_charge: Option<ChargeId>,
    /// Why the last try failed.
    pub last_payment_error: Option<Decline>,
    /// What the payer must do next; `None` if nothing is required of the payer.
    pub next_action: Option<NextAction>,
    /// Contains `transaction_id` and `wallet_id`.
    pub metadata: Metadata,
    /// When it was created.
    pub created: DateTime<Utc>,
}

impl PaymentIntent {
    /// Returns the currency of the intent.
    #[must_use]
    pub const fn currency(&self) -> Currency {
        self.amount.currency()
    }
}

/// A transfer of money from the platform to a connected account.
#[derive(Debug, Clone)]
pub struct Transfer {
    /// The transfer's id.
    pub id: StripeTransferId,
    /// The amount sent.
    pub amount: Money,
    /// The amount that was reversed.
    pub amount_reversed: Money,
    /// The account that receives it.
    pub destination: Option<AccountId>,
    /// Contains `transaction_id` and `wallet_id`.
    pub metadata: Metadata,
    /// When it was created.
    pub created: DateTime<Utc>,
}

/// A reversal: money of a transfer that is taken back from a connected account.
#[derive(Debug, Clone)]
pub struct Reversal {
    /// The reversal's id.
    pub id: ReversalId,
    /// The transfer that it reverses.
    pub transfer: StripeTransferId,
    /// The status of the reversal; only one that has succeeded has returned money.
    pub status: ReversalStatus,
    /// The amount taken back.
    pub amount: Money,
    /// Contains `transaction_id` and `wallet_id`.
    pub metadata: Metadata,
    /// When it was created.
    pub created: DateTime<Utc>,
}

/// A payout of money from a connected account to its bank.
#[derive(Debug, Clone)]
pub struct Payout {
    /// The payout's id, which Stripe knows only together with its account.
    pub id: PayoutId,
    /// The status of the payout.
    pub status: PayoutStatus,
    /// The amount paid out.
    pub amount: Money,
    /// Whether Stripe made it by the account's own schedule.
    pub automatic: bool,
    /// Why it failed, such as `account_closed`.
    pub failure_code: Option<String>,
    /// Why it failed, as a sentence.
    pub failure_message: Option<String>,
    /// The movement that returned the money to the connected account's balance.
    pub failure_balance_transaction: Option<BalanceTransactionId>,
    /// When it arrives or arrived at the bank.
    pub arrival_date: Option<DateTime<Utc>>,
    /// The bank account or debit card that receives it.
    pub destination: Option<ExternalAccountId>,
    /// Contains `transaction_id` and `wallet_id`; no ids on payouts that Stripe made by its own schedule.
    pub metadata: Metadata,
    /// When it was created.
    pub created: DateTime<Utc>,
}

impl Payout {
    /// Returns whether it is a requested payout of this amount to this bank. If no bank was named, the account's owner chooses it.
    #[must_use]
    pub fn is_what_was_asked_for(&self, amount: Money, bank: Option<&ExternalAccountId>) -> bool {
        self.amount == amount
            && !self.automatic
            && bank.is_none_or(|bank| self.destination.as_ref() == Some(bank))
    }
}

/// An event fetched from Stripe; it is as valid as one received by webhook.
#[derive(Clone)]
pub struct StripeEvent {
    /// The fields that we read from it.
    pub envelope: Envelope,
    /// The whole event as JSON, for the inbox; not byte for byte what a webhook would have contained.
    pub body: Vec<u8>,
}

impl fmt::Debug for StripeEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StripeEvent")
            .field("envelope", &self.envelope)
            .finish_non_exhaustive()
    }
}

/// A page of a list of events.
#[derive(Debug, Clone)]
pub struct EventPage {
    /// The events, newest first.
    pub events: Vec<StripeEvent>,
    /// Whether the list continues in the direction of the cursor.
    pub has_more: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_that_is_not_ours_is_none() {
        let id = "018f2f5e-7b3c-7000-8000-000000000001";
        let map = HashMap::from([
            ("transaction_id".to_owned(), id.to_owned()),
            ("wallet_id".to_owned(), "'; DROP TABLE wallets; --".to_owned()),
        ]);
        let metadata = Metadata::from_map(&map);
        assert_eq!(metadata.transaction_id.unwrap().to_string(), id);
        assert_eq!((metadata.wallet_id, metadata.user_id), (None, None));
    }

    #[test]
    fn a_client_secret_does_not_print() {
        let secret = ClientSecret::new("pi_1_secret_canary".to_owned());
        assert!(!format!("{secret:?}").contains("canary"));
        assert_eq!(secret.expose(), "pi_1_secret_canary");
    }
}
