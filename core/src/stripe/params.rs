//! What we ask Stripe for. Parameters of creating calls are stored before the first try and read back for every later one, so
//! that a retry sends exactly what the first try sent.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Opening;
use crate::ids::stripe::{
    AccountId, BalanceTransactionId, CustomerId, EventId, ExternalAccountId, PaymentIntentId,
    PaymentMethodId, PayoutId, StripeTransferId,
};
use crate::ids::{TransactionId, UserId, WalletId};
use crate::money::{Currency, Money};
use crate::transactions::PaymentMethod;

/// Written into `metadata` of every object made for a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tags {
    /// The transaction it is made for.
    pub transaction_id: TransactionId,
    /// The wallet of that transaction.
    pub wallet_id: WalletId,
}

/// A new customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateCustomer {
    /// Whose; goes into `metadata.user_id`.
    pub user_id: UserId,
}

/// Why we cancel an intent, in Stripe's words (<https://docs.stripe.com/api/payment_intents/cancel>): whoever sees the cancelled intent first,
/// also by an event that overtakes our answer, can tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelReason {
    /// Nobody paid in time.
    Abandoned,
    /// Its owner, or an operator, asked for it.
    RequestedByCustomer,
}

/// Which ways to pay an intent accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MethodChoice {
    /// Whatever the dashboard enables; without redirects when confirmed by the server.
    Automatic,
    /// Cards only.
    Card,
    /// The bank debit of the currency.
    BankDebit,
}

impl MethodChoice {
    /// Stripe's name of the bank debit of a currency; none where Stripe has none
    /// (<https://docs.stripe.com/payments/bank-debits>).
    #[must_use]
    pub fn bank_debit(currency: Currency) -> Option<&'static str> {
        match currency.code() {
            "usd" => Some("us_bank_account"),
            "eur" => Some("sepa_debit"),
            "gbp" => Some("bacs_debit"),
            "cad" => Some("acss_debit"),
            "aud" => Some("au_becs_debit"),
            _ => None,
        }
    }

    /// Whether money of this currency can be paid this way.
    #[must_use]
    pub fn available_for(self, currency: Currency) -> bool {
        self != Self::BankDebit || Self::bank_debit(currency).is_some()
    }
}

impl From<PaymentMethod> for MethodChoice {
    fn from(method: PaymentMethod) -> Self {
        match method {
            PaymentMethod::Stripe => Self::Automatic,
            PaymentMethod::CreditCard | PaymentMethod::DebitCard => Self::Card,
            PaymentMethod::BankTransfer => Self::BankDebit,
        }
    }
}

/// A new payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatePaymentIntent {
    /// How much.
    #[serde(with = "minor_units")]
    pub amount: Money,
    /// Who pays.
    pub customer: CustomerId,
    /// How it may be paid.
    pub method: MethodChoice,
    /// With it the intent is confirmed at once, off session; without it the payer's client confirms.
    pub payment_method: Option<PaymentMethodId>,
    /// What it is for.
    pub tags: Tags,
}

/// Money from the platform to a connected account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateTransfer {
    /// How much.
    #[serde(with = "minor_units")]
    pub amount: Money,
    /// To which account.
    pub destination: AccountId,
    /// What it is for; the transaction id is also the `transfer_group`, by which it is found again.
    pub tags: Tags,
}

/// All or a part of a transfer back to the platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateReversal {
    /// Which transfer.
    pub transfer: StripeTransferId,
    /// How much of it.
    #[serde(with = "minor_units")]
    pub amount: Money,
    /// What it is for.
    pub tags: Tags,
}

/// Money from a connected account to its bank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatePayout {
    /// Which account pays out.
    pub account: AccountId,
    /// How much.
    #[serde(with = "minor_units")]
    pub amount: Money,
    /// To which of its bank accounts; none means its default for the currency.
    pub destination: Option<ExternalAccountId>,
    /// What it is for.
    pub tags: Tags,
}

/// Money of a payment back to its payer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateRefund {
    /// Which payment.
    pub payment_intent: PaymentIntentId,
    /// How much of it, in the currency of the payment.
    #[serde(with = "minor_units")]
    pub amount: Money,
    /// What it is for.
    pub tags: Tags,
}

/// A connected account, which its person completes at Stripe. It pays out when we say so, never by Stripe's own schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateAccount {
    /// Whose; goes into `metadata.user_id`.
    pub user_id: UserId,
    /// What it is paid out in, its `default_currency`. Stripe refuses one that the account's country does not have.
    #[serde(with = "currency_code")]
    pub currency: Currency,
    /// Where and under which terms; Stripe's default, the platform's own country, when it is not known. Calls of earlier versions were
    /// stored without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening: Option<Opening>,
}

/// A page of Stripe's on which a person completes a connected account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateAccountLink {
    /// Which account.
    pub account: AccountId,
    /// Where the person comes back to, whether or not everything was completed.
    pub return_url: String,
    /// Where the person goes when the link is spent or expired: it should lead to a new one.
    pub refresh_url: String,
}

/// Which movements of a Stripe balance to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct BalanceTransactionQuery {
    /// Of this connected account; none means the platform's own.
    pub account: Option<AccountId>,
    /// Only those created at this time or later.
    pub created_since: Option<DateTime<Utc>>,
    /// Go on with those next older than this one. Stripe refuses it together with `newer_than`.
    pub older_than: Option<BalanceTransactionId>,
    /// Go on with those next newer than this one.
    pub newer_than: Option<BalanceTransactionId>,
    /// Only those of this `type`.
    pub kind: Option<&'static str>,
    /// Only those that this payout paid out. Stripe knows them for payouts of its own schedule only.
    pub payout: Option<PayoutId>,
}

/// From where to page through events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventCursor {
    /// The events next newer than this one.
    NewerThan(EventId),
    /// The events next older than this one.
    OlderThan(EventId),
}

/// Which events to list.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Of this connected account; none means the platform's own.
    pub account: Option<AccountId>,
    /// Where to go on; none starts at the newest. Stripe refuses a cursor that is older than the 30 days it keeps.
    pub cursor: Option<EventCursor>,
    /// Only events created at this time or later.
    pub created_since: Option<DateTime<Utc>>,
}

/// A currency by its code.
mod currency_code {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use crate::money::Currency;

    pub(super) fn serialize<S: Serializer>(currency: &Currency, serializer: S) -> Result<S::Ok, S::Error> {
        currency.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Currency, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// An amount as Stripe's wire has it: minor units and a code.
mod minor_units {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

    use crate::money::{Currency, Money};

    #[derive(Serialize, Deserialize)]
    struct Wire {
        minor: i64,
        currency: String,
    }

    pub(super) fn serialize<S: Serializer>(money: &Money, serializer: S) -> Result<S::Ok, S::Error> {
        let minor = money.minor().map_err(ser::Error::custom)?;
        Wire {
            minor,
            currency: money.currency().code().to_owned(),
        }
        .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        let currency: Currency = wire.currency.parse().map_err(de::Error::custom)?;
        Money::from_minor(wire.minor, currency).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_parameters_come_back_unchanged() {
        let intent = CreatePaymentIntent {
            amount: Money::from_minor(12_50, Currency::USD).unwrap(),
            customer: "cus_1".parse().unwrap(),
            method: MethodChoice::Card,
            payment_method: Some("pm_card_visa".parse().unwrap()),
            tags: Tags {
                transaction_id: "018f2f5e-7b3c-7000-8000-000000000001".parse().unwrap(),
                wallet_id: "018f2f5e-7b3c-7000-8000-000000000002".parse().unwrap(),
            },
        };
        let text = serde_json::to_string(&intent).unwrap();
        assert!(text.contains(r#""minor":1250,"currency":"usd""#), "{text}");
        assert_eq!(
            serde_json::from_str::<CreatePaymentIntent>(&text).unwrap(),
            intent
        );
    }

    #[test]
    fn stored_parameters_of_a_refund_and_an_account_come_back_unchanged() {
        let refund = CreateRefund {
            payment_intent: "pi_1".parse().unwrap(),
            amount: Money::from_minor(500, Currency::JPY).unwrap(),
            tags: Tags {
                transaction_id: "018f2f5e-7b3c-7000-8000-000000000001".parse().unwrap(),
                wallet_id: "018f2f5e-7b3c-7000-8000-000000000002".parse().unwrap(),
            },
        };
        let text = serde_json::to_string(&refund).unwrap();
        assert!(text.contains(r#""minor":500,"currency":"jpy""#), "{text}");
        assert_eq!(serde_json::from_str::<CreateRefund>(&text).unwrap(), refund);
        let account = CreateAccount {
            user_id: "018f2f5e-7b3c-7000-8000-000000000003".parse().unwrap(),
            currency: Currency::EUR,
            opening: None,
        };
        let text = serde_json::to_string(&account).unwrap();
        assert_eq!(serde_json::from_str::<CreateAccount>(&text).unwrap(), account);
        let foreign = text.replace("eur", "kwd");
        assert!(serde_json::from_str::<CreateAccount>(&foreign).is_err());
    }

    #[test]
    fn a_bank_transfer_is_the_bank_debit_of_the_currency_or_refused() {
        let bank = MethodChoice::from(PaymentMethod::BankTransfer);
        assert!(bank.available_for(Currency::USD) && bank.available_for(Currency::EUR));
        assert!(!bank.available_for(Currency::JPY));
        assert!(MethodChoice::from(PaymentMethod::DebitCard).available_for(Currency::JPY));
    }
}
