//! Payment intents.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Around, Charge, Customer, Group, GroupBy, Id, Owner, PaymentMethod, Resource, fixture, group, shape,
};
use crate::clock::Moment;
use crate::form::Metadata;
use crate::money::Currency;

fixture!(EXAMPLE, "payment_intent");

/// The status of a payment intent. Only `Succeeded` and `Canceled` are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum IntentStatus {
    RequiresPaymentMethod,
    RequiresConfirmation,
    RequiresAction,
    Processing,
    RequiresCapture,
    Succeeded,
    Canceled,
}

impl IntentStatus {
    /// Returns Stripe's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::RequiresPaymentMethod => "requires_payment_method",
            Self::RequiresConfirmation => "requires_confirmation",
            Self::RequiresAction => "requires_action",
            Self::Processing => "processing",
            Self::RequiresCapture => "requires_capture",
            Self::Succeeded => "succeeded",
            Self::Canceled => "canceled",
        }
    }

    /// Returns whether the intent may be confirmed.
    pub(crate) const fn confirmable(self) -> bool {
        matches!(
            self,
            Self::RequiresPaymentMethod | Self::RequiresConfirmation | Self::RequiresAction
        )
    }

    /// Returns whether the intent may be cancelled. A bank debit that is processing may not.
    pub(crate) const fn cancelable(self) -> bool {
        self.confirmable() || matches!(self, Self::RequiresCapture)
    }
}

/// When an authorised payment is captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CaptureMethod {
    Automatic,
    Manual,
}

/// A request for one payment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PaymentIntent {
    pub(crate) id: Id<PaymentIntent>,
    pub(crate) owner: Owner,
    pub(crate) created: Moment,
    pub(crate) amount: i64,
    pub(crate) amount_received: i64,
    pub(crate) amount_capturable: i64,
    pub(crate) currency: Currency,
    pub(crate) status: IntentStatus,
    pub(crate) capture_method: CaptureMethod,
    pub(crate) customer: Option<Id<Customer>>,
    pub(crate) payment_method: Option<Id<PaymentMethod>>,
    pub(crate) payment_method_types: Vec<String>,
    /// Set when the types come from the dashboard: whether redirects are allowed (`true` means `always`).
    pub(crate) automatic_methods: Option<bool>,
    pub(crate) latest_charge: Option<Id<Charge>>,
    pub(crate) last_payment_error: Option<Value>,
    pub(crate) next_action: Option<Value>,
    pub(crate) client_secret: String,
    pub(crate) canceled_at: Option<Moment>,
    pub(crate) cancellation_reason: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) receipt_email: Option<String>,
    pub(crate) setup_future_usage: Option<String>,
    pub(crate) statement_descriptor_suffix: Option<String>,
    pub(crate) transfer_group: Option<String>,
    pub(crate) metadata: Metadata,
}

impl PaymentIntent {
    /// Renders what a client with a publishable key may see: without the platform's own notes.
    pub(crate) fn render_for_client(&self, around: &dyn Around) -> Value {
        let mut rendered = self.render(around);
        if let Value::Object(fields) = &mut rendered {
            for private in [
                "metadata",
                "customer",
                "latest_charge",
                "transfer_group",
                "application_fee_amount",
            ] {
                fields.remove(private);
            }
        }
        rendered
    }
}

impl Resource for PaymentIntent {
    const PREFIX: &'static str = "pi_";
    const NOUN: &'static str = "payment_intent";

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
        let automatic = self.automatic_methods.map(|redirects| {
            json!({ "enabled": true, "allow_redirects": if redirects { "always" } else { "never" } })
        });
        shape(
            &EXAMPLE,
            json!({
                "id": self.id,
                "created": self.created.seconds(),
                "allowed_payment_method_types": self.automatic_methods.is_none().then_some(&self.payment_method_types),
                "amount": self.amount,
                "amount_received": self.amount_received,
                "amount_capturable": self.amount_capturable,
                "automatic_payment_methods": automatic,
                "canceled_at": self.canceled_at.map(Moment::seconds),
                "cancellation_reason": self.cancellation_reason,
                "capture_method": match self.capture_method {
                    CaptureMethod::Automatic => "automatic_async",
                    CaptureMethod::Manual => "manual",
                },
                "client_secret": self.client_secret,
                "currency": self.currency,
                "customer": self.customer,
                "description": self.description,
                "last_payment_error": self.last_payment_error,
                "latest_charge": self.latest_charge,
                "metadata": self.metadata,
                "next_action": self.next_action,
                "payment_method": self.payment_method,
                "payment_method_types": self.payment_method_types,
                "receipt_email": self.receipt_email,
                "setup_future_usage": self.setup_future_usage,
                "statement_descriptor_suffix": self.statement_descriptor_suffix,
                "status": self.status.name(),
                "transfer_group": self.transfer_group,
            }),
        )
    }
}
