//! The parameters of requests to Stripe. Those of creating calls are stored before the first try and read back for every later one,
//! so that a retry sends exactly what the first try sent.

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

/// The ids that are written into the `metadata` of every object made for a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tags {
    /// The transaction that the object is made for.
    pub transaction_id: TransactionId,
    /// The wallet of that transaction.
    pub wallet_id: WalletId,
}

/// The parameters of a new customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateCustomer {
    /// The person that the customer stands for; written to `metadata.user_id`.
    pub user_id: UserId,
}

/// Why we cancel an intent, in Stripe's words (<https://docs.stripe.com/api/payment_intents/cancel>): the reason is also visible to the first
/// reader of the cancelled intent, which may be the handler of an event that overtakes Stripe's answer to our request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelReason {
    /// The payment was not made in time.
    Abandoned,
    /// The owner, or an operator, requested it.
    RequestedByCustomer,
}

/// The payment methods that an intent accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MethodChoice {
    /// All that the dashboard enables; without redirects if the server confirms the intent.
    Automatic,
    /// Cards only.
    Card,
    /// The bank debit of the intent's currency.
    BankDebit,
}

impl MethodChoice {
    /// Returns Stripe's name for the bank debit of a currency, or `None` if Stripe has none for it
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

    /// Returns whether a payment in this currency can be made this way.
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

/// The parameters of a new payment intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatePaymentIntent {
    /// The amount to pay.
    #[serde(with = "minor_units")]
    pub amount: Money,
    /// The customer who pays.
    pub customer: CustomerId,
    /// The payment methods that it accepts.
    pub method: MethodChoice,
    /// If given, the intent is confirmed at once, off session; otherwise the payer's client confirms it.
    pub payment_method: Option<PaymentMethodId>,
    /// The transaction it is made for.
    pub tags: Tags,
}

/// The parameters of a transfer from the platform to a connected account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateTransfer {
    /// The amount to send.
    #[serde(with = "minor_units")]
    pub amount: Money,
    /// The account that receives it.
    pub destination: AccountId,
    /// The transaction it is made for. Its id is also the `transfer_group`, by which look-ups find it.
    pub tags: Tags,
}

/// The parameters of the reversal of all or a part of a transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateReversal {
    /// The transfer to reverse.
    pub transfer: StripeTransferId,
    /// The amount to take back.
    #[serde(with = "minor_units")]
    pub amount: Money,
    /// The transaction it is made for.
    pub tags: Tags,
}

/// The parameters of a payout from a connected account to its bank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatePayout {
    /// The account that pays out.
    pub account: AccountId,
    /// The amount to pay out.
    #[serde(with = "minor_units")]
    pub amount: Money,
    /// The bank account or debit card that receives it; `None` means the account's default for the currency.
    pub destination: Option<ExternalAccountId>,
    /// The transaction it is made for.
    pub tags: Tags,
}

/// The parameters of a refund to the payer of a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateRefund {
    /// The payment to refund.
    pub payment_intent: PaymentIntentId,
    /// The amount to refund, in the currency of the payment.
    #[serde(with = "minor_units")]
    pub amount: Money,
    /// The transaction it is made for.
    pub tags: Tags,
}

/// The parameters of a connected account, which its owner completes at Stripe. It pays out only on our request, never by Stripe's own schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateAccount {
    /// The owner; written to `metadata.user_id`.
    pub user_id: UserId,
    /// The currency in which it is paid out, its `default_currency`. Stripe refuses one that the account's country does not have.
    #[serde(with = "currency_code")]
    pub currency: Currency,
    /// The country and the terms. If `None`, Stripe's default applies, the platform's own country. Calls stored by earlier versions
    /// have no such field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening: Option<Opening>,
}

/// The parameters of a page of Stripe's on which a person completes a connected account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateAccountLink {
    /// The account to complete.
    pub account: AccountId,
    /// Where the person returns to, whether or not everything was completed.
    pub return_url: String,
    /// Where the person is sent if the link is used up or expired; it should lead to a new one.
    pub refresh_url: String,
}

/// The movements of a Stripe balance to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct BalanceTransactionQuery {
    /// Only those of this connected account; `None` means the platform's own account.
    pub account: Option<AccountId>,
    /// Only those created at this time or later.
    pub created_since: Option<DateTime<Utc>>,
    /// Continue with those immediately older than this one. Stripe refuses it together with `newer_than`.
    pub older_than: Option<BalanceTransactionId>,
    /// Continue with those immediately newer than this one.
    pub newer_than: Option<BalanceTransactionId>,
    /// Only those of this `type`.
    pub kind: Option<&'static str>,
    /// Only those that this payout paid out. Stripe knows them only for payouts of its own schedule.
    pub payout: Option<PayoutId>,
}

/// The point from which a list of events continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventCursor {
    /// The events next newer than this one.
    NewerThan(EventId),
    /// The events next older than this one.
    OlderThan(EventId),
}

/// The events to list.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Only those of this connected account; `None` means the platform's own account.
    pub account: Option<AccountId>,
    /// Where to continue; `None` starts at the newest event. Stripe refuses a cursor older than the 30 days that it keeps.
    pub cursor: Option<EventCursor>,
    /// Only those created at this time or later.
    pub created_since: Option<DateTime<Utc>>,
}

/// Serialises a currency as its code.
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

/// Serialises an amount in the form of Stripe's API: minor units and a currency code.
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
