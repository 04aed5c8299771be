//! Payouts from an account's balance to its bank.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Around, BalanceTransaction, Group, GroupBy, Id, Owner, Resource, fixture, group, shape};
use crate::clock::Moment;
use crate::form::Metadata;
use crate::money::Currency;

fixture!(EXAMPLE, "payout");

/// The status of a payout. A paid payout can still fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PayoutStatus {
    Pending,
    InTransit,
    Paid,
    Failed,
    Canceled,
}

impl PayoutStatus {
    /// Returns Stripe's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InTransit => "in_transit",
            Self::Paid => "paid",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Returns whether a payout can go from this status to `next`.
    pub(crate) const fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (
                Self::Pending,
                Self::InTransit | Self::Paid | Self::Failed | Self::Canceled
            ) | (Self::InTransit, Self::Paid | Self::Failed)
                | (Self::Paid, Self::Failed)
        )
    }
}

/// A payment from a balance to a bank account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Payout {
    pub(crate) id: Id<Payout>,
    pub(crate) owner: Owner,
    pub(crate) created: Moment,
    pub(crate) arrival: Moment,
    pub(crate) amount: i64,
    pub(crate) currency: Currency,
    pub(crate) status: PayoutStatus,
    pub(crate) destination: String,
    pub(crate) balance_transaction: Id<BalanceTransaction>,
    pub(crate) failure_balance_transaction: Option<Id<BalanceTransaction>>,
    pub(crate) failure_code: Option<String>,
    pub(crate) failure_message: Option<String>,
    pub(crate) instant: bool,
    pub(crate) description: Option<String>,
    pub(crate) statement_descriptor: Option<String>,
    pub(crate) metadata: Metadata,
}

impl Resource for Payout {
    const PREFIX: &'static str = "po_";
    const NOUN: &'static str = "payout";

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
        vec![group(GroupBy::Destination, &self.destination)]
    }

    fn render(&self, around: &dyn Around) -> Value {
        let failure_movement = self
            .failure_balance_transaction
            .as_ref()
            .filter(|_| around.names_failure_movements());
        shape(
            &EXAMPLE,
            json!({
                "id": self.id,
                "created": self.created.seconds(),
                "amount": self.amount,
                "arrival_date": self.arrival.seconds(),
                "automatic": false,
                "balance_transaction": self.balance_transaction,
                "currency": self.currency,
                "description": self.description,
                "destination": self.destination,
                "failure_balance_transaction": failure_movement,
                "failure_code": self.failure_code,
                "failure_message": self.failure_message,
                "metadata": self.metadata,
                "method": if self.instant { "instant" } else { "standard" },
                "reconciliation_status": "not_applicable",
                "statement_descriptor": self.statement_descriptor,
                "status": self.status.name(),
            }),
        )
    }
}
