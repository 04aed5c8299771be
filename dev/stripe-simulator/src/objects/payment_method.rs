//! Payment methods, and the behaviour of Stripe's test payment methods when they are charged.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Around, Customer, Group, GroupBy, Id, Owner, Resource, fixture, group, shape};
use crate::clock::Moment;
use crate::form::Metadata;
use crate::money::Currency;
use crate::serial::words::{self, Word};

fixture!(EXAMPLE, "payment_method");
fixture!(CARD, "payment_method_card");
fixture!(CARD_DETAILS, "charge_card_details");

/// The type of a payment method.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MethodKind {
    /// A card of this brand and funding, such as `visa` and `credit`, with these last four digits.
    Card {
        #[serde(deserialize_with = "words::one")]
        brand: Word,
        #[serde(deserialize_with = "words::one")]
        funding: Word,
        last4: String,
    },
    /// ACH direct debit, US dollars.
    UsBankAccount,
    /// SEPA direct debit, euros.
    SepaDebit,
    /// Bacs direct debit, pounds.
    BacsDebit,
    /// Pre-authorised debit in Canada.
    AcssDebit,
    /// BECS direct debit in Australia.
    AuBecsDebit,
}

impl MethodKind {
    /// Returns Stripe's name of the type.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Card { .. } => "card",
            Self::UsBankAccount => "us_bank_account",
            Self::SepaDebit => "sepa_debit",
            Self::BacsDebit => "bacs_debit",
            Self::AcssDebit => "acss_debit",
            Self::AuBecsDebit => "au_becs_debit",
        }
    }

    /// Returns the bank debit that Stripe offers in a currency.
    pub(crate) fn bank_debit_of(currency: Currency) -> Option<&'static str> {
        match currency.code() {
            "usd" => Some("us_bank_account"),
            "eur" => Some("sepa_debit"),
            "gbp" => Some("bacs_debit"),
            "cad" => Some("acss_debit"),
            "aud" => Some("au_becs_debit"),
            _ => None,
        }
    }

    /// Returns whether this type can pay in `currency`.
    pub(crate) fn accepts(&self, currency: Currency) -> bool {
        matches!(self, Self::Card { .. }) || Self::bank_debit_of(currency) == Some(self.name())
    }

    /// Returns whether payments by it take days to become certain.
    pub(crate) const fn is_bank_debit(&self) -> bool {
        !matches!(self, Self::Card { .. })
    }

    fn bank_fields(&self) -> Value {
        match self {
            Self::Card { .. } => Value::Null,
            Self::UsBankAccount => json!({
                "account_holder_type": "individual", "account_type": "checking", "bank_name": "STRIPE TEST BANK",
                "fingerprint": "FFDMA0xfhBjWSZLu", "last4": "6789", "routing_number": "110000000",
            }),
            Self::SepaDebit => json!({
                "bank_code": "37040044", "branch_code": "", "country": "DE", "fingerprint": "Eax7ZQtkFDf8JOf6", "last4": "3000",
            }),
            Self::BacsDebit => {
                json!({ "fingerprint": "UkSG0HfD9JZVb9fZ", "last4": "2345", "sort_code": "108800" })
            }
            Self::AcssDebit => json!({
                "bank_name": "STRIPE TEST BANK", "fingerprint": "Wd9Wpk3MfUyVKPg2", "institution_number": "000",
                "last4": "6789", "transit_number": "11000",
            }),
            Self::AuBecsDebit => {
                json!({ "bsb_number": "000000", "fingerprint": "lm7qI5V7PjkWUM7E", "last4": "3456" })
            }
        }
    }

    /// Renders `payment_method_details` of a charge made with it.
    pub(crate) fn charge_details(&self) -> Value {
        let details = match self {
            Self::Card {
                brand,
                funding,
                last4,
            } => shape(
                &CARD_DETAILS,
                json!({ "brand": brand, "network": brand, "funding": funding, "last4": last4 }),
            ),
            bank => {
                let mut fields = bank.bank_fields();
                if let Value::Object(fields) = &mut fields {
                    fields.insert("mandate".to_owned(), Value::Null);
                }
                fields
            }
        };
        json!({ "type": self.name(), self.name(): details })
    }
}

/// The reason why a card is declined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Decline {
    /// The error's `code`.
    #[serde(deserialize_with = "words::one")]
    pub(crate) code: Word,
    /// The issuer's `decline_code`.
    #[serde(deserialize_with = "words::perhaps")]
    pub(crate) decline_code: Option<Word>,
    /// The sentence for the payer.
    #[serde(deserialize_with = "words::one")]
    pub(crate) message: Word,
}

const fn decline(code: &'static str, decline_code: &'static str, message: &'static str) -> Behaviour {
    Behaviour::Declines(Decline {
        code,
        decline_code: Some(decline_code),
        message,
    })
}

/// The outcome of a bank debit after it was `processing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BankFate {
    /// The money arrives.
    Succeeds,
    /// The bank refuses, with this failure code and sentence.
    Fails(
        #[serde(deserialize_with = "words::one")] Word,
        #[serde(deserialize_with = "words::one")] Word,
    ),
    /// Nothing happens until a test decides.
    Stays,
    /// The money arrives and is disputed at once.
    Disputed,
}

/// The behaviour of a payment method when it is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Behaviour {
    /// The charge succeeds.
    Succeeds,
    /// The charge succeeds and the money is available at once, whatever the settings say.
    BypassesPending,
    /// The issuer declines.
    Declines(Decline),
    /// The payer must authenticate; off session that is a decline.
    NeedsAuthentication,
    /// As above, and the charge is declined after the authentication.
    NeedsAuthenticationThenDeclines(Decline),
    /// The charge succeeds and is disputed with this reason.
    Disputed(#[serde(deserialize_with = "words::one")] Word),
    /// The charge succeeds and the payer's bank inquires about it.
    Inquired,
    /// The charge succeeds; its refunds succeed and fail later.
    RefundFails,
    /// The charge succeeds; its refunds are pending first.
    RefundPends,
    /// A bank debit.
    BankDebit(BankFate),
}

const INSUFFICIENT: Decline = Decline {
    code: "card_declined",
    decline_code: Some("insufficient_funds"),
    message: "Your card has insufficient funds.",
};

/// Returns the type and behaviour of one of Stripe's test payment methods (`pm_card_visa`, `pm_usBankAccount_success`, …),
/// or `None` if the name is not known.
pub(crate) fn test_method(token: &str) -> Option<(MethodKind, Behaviour)> {
    if let Some(name) = token
        .strip_prefix("pm_card_")
        .or_else(|| token.strip_prefix("tok_"))
    {
        return test_card(name);
    }
    let banks = [
        ("pm_usBankAccount_", MethodKind::UsBankAccount),
        ("pm_sepaDebit_", MethodKind::SepaDebit),
        ("pm_bacsDebit_", MethodKind::BacsDebit),
        ("pm_acssDebit_", MethodKind::AcssDebit),
        ("pm_auBecsDebit_", MethodKind::AuBecsDebit),
    ];
    banks.into_iter().find_map(|(prefix, kind)| {
        let fate = bank_fate(token.strip_prefix(prefix)?)?;
        Some((kind, Behaviour::BankDebit(fate)))
    })
}

fn test_card(name: &str) -> Option<(MethodKind, Behaviour)> {
    let card = |brand, funding, last4: &str| MethodKind::Card {
        brand,
        funding,
        last4: last4.to_owned(),
    };
    let plain = match name {
        "visa" | "us" => Some(card("visa", "credit", "4242")),
        "visa_debit" => Some(card("visa", "debit", "5556")),
        "mastercard" => Some(card("mastercard", "credit", "4444")),
        "mastercard_debit" => Some(card("mastercard", "debit", "8210")),
        "mastercard_prepaid" => Some(card("mastercard", "prepaid", "5100")),
        "amex" => Some(card("amex", "credit", "8431")),
        "discover" => Some(card("discover", "credit", "9424")),
        "diners" => Some(card("diners", "credit", "3237")),
        "jcb" => Some(card("jcb", "credit", "0505")),
        "unionpay" => Some(card("unionpay", "credit", "0005")),
        _ => None,
    };
    if let Some(card) = plain {
        return Some((card, Behaviour::Succeeds));
    }
    let (last4, behaviour) = match name.strip_prefix("visa_").unwrap_or(name) {
        "bypassPending" => ("0077", Behaviour::BypassesPending),
        "chargeDeclined" | "chargeCustomerFail" => (
            "0002",
            decline("card_declined", "generic_decline", "Your card was declined."),
        ),
        "chargeDeclinedInsufficientFunds" => ("9995", Behaviour::Declines(INSUFFICIENT)),
        "chargeDeclinedLostCard" => (
            "9987",
            decline("card_declined", "lost_card", "Your card was declined."),
        ),
        "chargeDeclinedStolenCard" => (
            "9979",
            decline("card_declined", "stolen_card", "Your card was declined."),
        ),
        "chargeDeclinedFraudulent" | "radarBlock" => (
            "0019",
            decline("card_declined", "fraudulent", "Your card was declined."),
        ),
        "chargeDeclinedVelocityLimitExceeded" => (
            "6975",
            decline(
                "card_declined",
                "card_velocity_exceeded",
                "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
            ),
        ),
        "chargeDeclinedExpiredCard" => (
            "0069",
            decline("expired_card", "expired_card", "Your card has expired."),
        ),
        "chargeDeclinedIncorrectCvc" => (
            "0127",
            decline(
                "incorrect_cvc",
                "incorrect_cvc",
                "Your card's security code is incorrect.",
            ),
        ),
        "chargeDeclinedProcessingError" => (
            "0119",
            decline(
                "processing_error",
                "processing_error",
                "An error occurred while processing your card. Try again in a little bit.",
            ),
        ),
        "authenticationRequired" | "authenticationRequiredOnSetup" | "threeDSecure2Required" => {
            ("3184", Behaviour::NeedsAuthentication)
        }
        "authenticationRequiredChargeDeclinedInsufficientFunds" => {
            ("8341", Behaviour::NeedsAuthenticationThenDeclines(INSUFFICIENT))
        }
        "createDispute" => ("0259", Behaviour::Disputed("fraudulent")),
        "createDisputeProductNotReceived" => ("2685", Behaviour::Disputed("product_not_received")),
        "createDisputeInquiry" => ("1976", Behaviour::Inquired),
        "refundFail" => ("5126", Behaviour::RefundFails),
        "pendingRefund" => ("7726", Behaviour::RefundPends),
        _ => return None,
    };
    Some((card("visa", "credit", last4), behaviour))
}

fn bank_fate(name: &str) -> Option<BankFate> {
    Some(match name {
        "success" => BankFate::Succeeds,
        "processing" => BankFate::Stays,
        "dispute" => BankFate::Disputed,
        "accountClosed" => BankFate::Fails("account_closed", "The customer's bank account has been closed."),
        "accountFrozen" => BankFate::Fails("account_frozen", "The customer's bank account has been frozen."),
        "noAccount" => BankFate::Fails("no_account", "The customer's bank account could not be located."),
        "insufficientFunds" => BankFate::Fails(
            "insufficient_funds",
            "The customer's account has insufficient funds to cover this payment.",
        ),
        "debitNotAuthorized" => BankFate::Fails(
            "debit_not_authorized",
            "The customer has notified their bank that this payment was unauthorized.",
        ),
        _ => return None,
    })
}

/// A card or a bank account that can be debited.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PaymentMethod {
    pub(crate) id: Id<PaymentMethod>,
    pub(crate) owner: Owner,
    pub(crate) created: Moment,
    pub(crate) kind: MethodKind,
    pub(crate) behaviour: Behaviour,
    pub(crate) customer: Option<Id<Customer>>,
    pub(crate) metadata: Metadata,
}

impl Resource for PaymentMethod {
    const PREFIX: &'static str = "pm_";
    const NOUN: &'static str = "PaymentMethod";

    fn id(&self) -> &Id<Self> {
        &self.id
    }

    fn owner(&self) -> &Owner {
        &self.owner
    }

    fn created(&self) -> Moment {
        self.created
    }

    fn groups(&self) -> Vec<Group> {
        self.customer
            .iter()
            .map(|customer| group(GroupBy::Customer, customer))
            .collect()
    }

    fn render(&self, _around: &dyn Around) -> Value {
        let details = match &self.kind {
            MethodKind::Card {
                brand,
                funding,
                last4,
            } => shape(
                &CARD,
                json!({
                    "brand": brand, "display_brand": brand, "funding": funding, "last4": last4,
                    "networks": { "available": [brand], "preferred": null },
                }),
            ),
            MethodKind::UsBankAccount => {
                let mut fields = self.kind.bank_fields();
                if let Value::Object(fields) = &mut fields {
                    fields.insert("financial_connections_account".to_owned(), Value::Null);
                    fields.insert(
                        "networks".to_owned(),
                        json!({ "preferred": "ach", "supported": ["ach"] }),
                    );
                    fields.insert("status_details".to_owned(), Value::Null);
                }
                fields
            }
            bank => bank.bank_fields(),
        };
        shape(
            &EXAMPLE,
            json!({
                "id": self.id,
                "created": self.created.seconds(),
                "type": self.kind.name(),
                self.kind.name(): details,
                "customer": self.customer,
                "metadata": self.metadata,
            }),
        )
    }
}
