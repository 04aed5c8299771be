//! Refunds of charges.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Around, BalanceTransaction, Charge, Group, GroupBy, Id, Owner, PaymentIntent, Resource, fixture, group,
    shape,
};
use crate::clock::Moment;
use crate::form::Metadata;
use crate::money::Currency;
use crate::serial::words::{self, Word};

fixture!(EXAMPLE, "refund");

/// The status of a refund. A succeeded refund can still fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RefundStatus {
    Pending,
    RequiresAction,
    Succeeded,
    Failed,
    Canceled,
}

impl RefundStatus {
    /// Returns Stripe's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::RequiresAction => "requires_action",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Returns whether a refund can go from this status to `next`.
    pub(crate) const fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (
                Self::Pending,
                Self::RequiresAction | Self::Succeeded | Self::Failed | Self::Canceled
            ) | (
                Self::RequiresAction,
                Self::Pending | Self::Succeeded | Self::Failed | Self::Canceled
            ) | (Self::Succeeded, Self::Failed)
        )
    }
}

/// Money refunded to a payer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Refund {
    pub(crate) id: Id<Refund>,
    pub(crate) owner: Owner,
    pub(crate) created: Moment,
    pub(crate) amount: i64,
    pub(crate) currency: Currency,
    pub(crate) status: RefundStatus,
    pub(crate) charge: Id<Charge>,
    pub(crate) payment_intent: Option<Id<PaymentIntent>>,
    /// Absent while the platform's balance does not cover the refund.
    pub(crate) balance_transaction: Option<Id<BalanceTransaction>>,
    pub(crate) failure_balance_transaction: Option<Id<BalanceTransaction>>,
    pub(crate) failure_reason: Option<String>,
    #[serde(deserialize_with = "words::perhaps")]
    pub(crate) pending_reason: Option<Word>,
    pub(crate) reason: Option<String>,
    pub(crate) by_card: bool,
    pub(crate) metadata: Metadata,
}

impl Resource for Refund {
    const PREFIX: &'static str = "re_";
    const NOUN: &'static str = "refund";

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
        let intent = self.payment_intent.iter().map(|id| group(GroupBy::Intent, id));
        intent.chain([group(GroupBy::Charge, &self.charge)]).collect()
    }

    fn render(&self, around: &dyn Around) -> Value {
        let destination = self.by_card.then(|| {
            json!({ "card": { "reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund" }, "type": "card" })
        });
        let mut fields = json!({
            "id": self.id,
            "created": self.created.seconds(),
            "amount": self.amount,
            "balance_transaction": self.balance_transaction,
            "charge": self.charge,
            "currency": self.currency,
            "destination_details": destination,
            "metadata": self.metadata,
            "payment_intent": self.payment_intent,
            "reason": self.reason,
            "status": self.status.name(),
        });
        if let Value::Object(fields) = &mut fields {
            if let Some(reason) = self.pending_reason {
                fields.insert("pending_reason".to_owned(), json!(reason));
            }
            if let Some(reason) = &self.failure_reason {
                fields.insert("failure_reason".to_owned(), json!(reason));
            }
            let movement = self.failure_balance_transaction.as_ref();
            if let Some(id) = movement.filter(|_| around.names_failure_movements()) {
                fields.insert("failure_balance_transaction".to_owned(), json!(id));
            }
        }
        shape(&EXAMPLE, fields)
    }
}
