//! Charges: one attempt to charge a payer, or a transfer's payment on a connected account.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Around, BalanceTransaction, Customer, Decline, Group, GroupBy, Id, MethodKind, Owner, PaymentIntent,
    PaymentMethod, Resource, Transfer, fixture, group, shape,
};
use crate::clock::Moment;
use crate::form::Metadata;
use crate::money::Currency;

fixture!(EXAMPLE, "charge");

/// The status of a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ChargeStatus {
    Pending,
    Succeeded,
    Failed,
}

impl ChargeStatus {
    const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// A movement of a payer's money.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Charge {
    pub(crate) id: Id<Charge>,
    pub(crate) owner: Owner,
    pub(crate) created: Moment,
    pub(crate) amount: i64,
    pub(crate) amount_captured: i64,
    pub(crate) amount_refunded: i64,
    pub(crate) currency: Currency,
    pub(crate) status: ChargeStatus,
    pub(crate) captured: bool,
    pub(crate) disputed: bool,
    pub(crate) payment_intent: Option<Id<PaymentIntent>>,
    pub(crate) payment_method: Option<Id<PaymentMethod>>,
    /// The kind of payment method that was charged; `None` for a transfer's payment.
    pub(crate) method: Option<MethodKind>,
    pub(crate) customer: Option<Id<Customer>>,
    pub(crate) balance_transaction: Option<Id<BalanceTransaction>>,
    pub(crate) source_transfer: Option<Id<Transfer>>,
    pub(crate) failure: Option<Decline>,
    pub(crate) description: Option<String>,
    pub(crate) transfer_group: Option<String>,
    pub(crate) metadata: Metadata,
}

impl Charge {
    /// Returns the amount that can still be refunded.
    pub(crate) const fn refundable(&self) -> i64 {
        self.amount_captured - self.amount_refunded
    }
}

impl Resource for Charge {
    const PREFIX: &'static str = "ch_";
    const NOUN: &'static str = "charge";

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
        let customer = self.customer.iter().map(|id| group(GroupBy::Customer, id));
        let intent = self.payment_intent.iter().map(|id| group(GroupBy::Intent, id));
        let transfers = self
            .transfer_group
            .iter()
            .map(|id| group(GroupBy::TransferGroup, id));
        customer.chain(intent).chain(transfers).collect()
    }

    fn render(&self, _around: &dyn Around) -> Value {
        let details = self.method.as_ref().map_or_else(
            || json!({ "type": "stripe_account", "stripe_account": {} }),
            MethodKind::charge_details,
        );
        let mut fields = json!({
            "id": self.id,
            "created": self.created.seconds(),
            "amount": self.amount,
            "amount_captured": self.amount_captured,
            "amount_refunded": self.amount_refunded,
            "balance_transaction": self.balance_transaction,
            "captured": self.captured,
            "currency": self.currency,
            "customer": self.customer,
            "description": self.description,
            "disputed": self.disputed,
            "failure_code": self.failure.map(|failure| failure.code),
            "failure_message": self.failure.map(|failure| failure.message),
            "metadata": self.metadata,
            "paid": self.status == ChargeStatus::Succeeded,
            "payment_intent": self.payment_intent,
            "payment_method": self.payment_method,
            "payment_method_details": details,
            "refunded": self.amount_captured > 0 && self.refundable() == 0,
            "source_transfer": self.source_transfer,
            "status": self.status.name(),
            "transfer_group": self.transfer_group,
        });
        if let (Some(failure), Value::Object(fields)) = (self.failure, &mut fields) {
            let outcome = json!({
                "advice_code": null,
                "network_advice_code": null,
                "network_decline_code": null,
                "network_status": "declined_by_network",
                "reason": failure.decline_code.unwrap_or(failure.code),
                "risk_level": "normal",
                "seller_message": "The bank did not return any further details with this decline.",
                "type": "issuer_declined",
            });
            fields.insert("outcome".to_owned(), outcome);
        }
        shape(&EXAMPLE, fields)
    }
}
