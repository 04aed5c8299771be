//! What Stripe answers, reduced to what the wallet decides by.

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

/// An object that a call makes: what `stripe_calls` remembers of a success.
pub trait StripeObject {
    /// The type of its id.
    type Id: Clone + fmt::Debug + FromStr + AsRef<str> + Send + Sync;

    /// Its id at Stripe.
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

/// Whom or what an object says it belongs to. Read leniently: what is missing or malformed is none, never an error, and
/// nothing here is trusted without our own row.
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
    /// Takes the ids out of Stripe's map.
    #[must_use]
    pub fn from_map(map: &HashMap<String, String>) -> Self {
        Self::from_lookup(|key| map.get(key).map(String::as_str))
    }

    /// Takes the ids out of anything that finds a text by its key.
    pub(super) fn from_lookup<'a>(find: impl Fn(&str) -> Option<&'a str>) -> Self {
        Self {
            transaction_id: find("transaction_id").and_then(|text| text.parse().ok()),
            wallet_id: find("wallet_id").and_then(|text| text.parse().ok()),
            user_id: find("user_id").and_then(|text| text.parse().ok()),
        }
    }
}

/// What a payer's browser confirms a payment with; never logged, stored encrypted.
#[derive(Clone)]
pub struct ClientSecret(SecretString);

impl ClientSecret {
    /// Wraps the secret.
    #[must_use]
    pub fn new(secret: String) -> Self {
        Self(SecretString::from(secret))
    }

    /// The secret, for sealing it or for handing it to its owner.
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

/// A person at Stripe.
#[derive(Debug, Clone)]
pub struct Customer {
    /// Its id.
    pub id: CustomerId,
    /// Carries `user_id`.
    pub metadata: Metadata,
}

/// A payment, from its creation to its end.
#[derive(Debug, Clone)]
pub struct PaymentIntent {
    /// Its id.
    pub id: PaymentIntentId,
    /// How far it is.
    pub status: PaymentIntentStatus,
    /// Why it was cancelled, if it was.
    pub cancellation_reason: Option<CancellationReason>,
    /// What was asked for.
    pub amount: Money,
    /// What was paid; this is what a deposit credits.
    pub amount_received: Money,
    /// What the payer's client confirms with.
    pub client_secret: Option<ClientSecret>,
    /// Who pays.
    pub customer: Option<CustomerId>,
    /// The newest charge made for it.
    pub latest_charge: Option<ChargeId>,
    /// Why its last try failed.
    pub last_payment_error: Option<Decline>,
    /// What its payer has to do next; none when it is not the payer's turn.
    pub next_action: Option<NextAction>,
    /// Carries `transaction_id` and `wallet_id`.
    pub metadata: Metadata,
    /// When it was created.
    pub created: DateTime<Utc>,
}

impl PaymentIntent {
    /// The currency it is in.
    #[must_use]
    pub const fn currency(&self) -> Currency {
        self.amount.currency()
    }
}

/// Money sent from the platform to a connected account.
#[derive(Debug, Clone)]
pub struct Transfer {
    /// Its id.
    pub id: StripeTransferId,
    /// What was sent.
    pub amount: Money,
    /// What was taken back.
    pub amount_reversed: Money,
    /// The account it went to.
    pub destination: Option<AccountId>,
    /// Carries `transaction_id` and `wallet_id`.
    pub metadata: Metadata,
    /// When it was created.
    pub created: DateTime<Utc>,
}

/// Money taken back from a connected account.
#[derive(Debug, Clone)]
pub struct Reversal {
    /// Its id.
    pub id: ReversalId,
    /// The transfer it takes back.
    pub transfer: StripeTransferId,
    /// How far it is; only one that has succeeded has brought money.
    pub status: ReversalStatus,
    /// How much.
    pub amount: Money,
    /// Carries `transaction_id` and `wallet_id`.
    pub metadata: Metadata,
    /// When it was created.
    pub created: DateTime<Utc>,
}

/// Money sent from a connected account to its bank.
#[derive(Debug, Clone)]
pub struct Payout {
    /// Its id, known only together with its account.
    pub id: PayoutId,
    /// How far it is.
    pub status: PayoutStatus,
    /// How much.
    pub amount: Money,
    /// Whether Stripe made it by the account's own schedule.
    pub automatic: bool,
    /// Why it failed, such as `account_closed`.
    pub failure_code: Option<String>,
    /// Why it failed, as a sentence.
    pub failure_message: Option<String>,
    /// The movement that brought the money back to the connected balance.
    pub failure_balance_transaction: Option<BalanceTransactionId>,
    /// When it should arrive, or arrived.
    pub arrival_date: Option<DateTime<Utc>>,
    /// Where it goes.
    pub destination: Option<ExternalAccountId>,
    /// Carries `transaction_id` and `wallet_id`; none on payouts that Stripe made by its own schedule.
    pub metadata: Metadata,
    /// When it was created.
    pub created: DateTime<Utc>,
}

impl Payout {
    /// Whether it pays so much to this bank because somebody asked for it. Which bank it is when none was named, the account's person decides.
    #[must_use]
    pub fn is_what_was_asked_for(&self, amount: Money, bank: Option<&ExternalAccountId>) -> bool {
        self.amount == amount
            && !self.automatic
            && bank.is_none_or(|bank| self.destination.as_ref() == Some(bank))
    }
}

/// An event fetched from Stripe, as good as one received.
#[derive(Clone)]
pub struct StripeEvent {
    /// What we read of it.
    pub envelope: Envelope,
    /// All of it as JSON, for the inbox; not byte for byte what a webhook would have carried.
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
    /// Whether the list goes on in the direction of the cursor.
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
