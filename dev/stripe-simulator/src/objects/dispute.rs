//! Disputes: a payer's bank reverses a charge.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Around, BalanceTransaction, Charge, Group, GroupBy, Id, Owner, PaymentIntent, Resource, fixture, group,
    shape,
};
use crate::clock::Moment;
use crate::form::Metadata;
use crate::money::Currency;

fixture!(EXAMPLE, "dispute");

/// The status of a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DisputeStatus {
    WarningNeedsResponse,
    WarningUnderReview,
    WarningClosed,
    NeedsResponse,
    UnderReview,
    Won,
    Lost,
    Prevented,
}

impl DisputeStatus {
    /// Returns Stripe's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::WarningNeedsResponse => "warning_needs_response",
            Self::WarningUnderReview => "warning_under_review",
            Self::WarningClosed => "warning_closed",
            Self::NeedsResponse => "needs_response",
            Self::UnderReview => "under_review",
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Prevented => "prevented",
        }
    }

    /// Returns whether the dispute is an inquiry, which moves no money.
    pub(crate) const fn is_inquiry(self) -> bool {
        matches!(
            self,
            Self::WarningNeedsResponse | Self::WarningUnderReview | Self::WarningClosed
        )
    }

    /// Returns whether a dispute can go from this status to `next`. A decision can be reversed later; a closed inquiry stays closed.
    pub(crate) fn may_become(self, next: Self) -> bool {
        match (self, next) {
            (Self::Won, Self::Lost) | (Self::Lost, Self::Won) => true,
            // A prevented one never became a dispute: it has this status from the beginning, or an inquiry ends with it.
            (_, Self::Prevented) => self.is_inquiry() && !self.is_closed(),
            _ => !self.is_closed() && self != next && (self.is_inquiry() || !next.is_inquiry()),
        }
    }

    /// Returns whether a decision has been made.
    pub(crate) const fn is_closed(self) -> bool {
        matches!(
            self,
            Self::WarningClosed | Self::Won | Self::Lost | Self::Prevented
        )
    }
}

/// A charge that the payer's bank contests.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Dispute {
    pub(crate) id: Id<Dispute>,
    pub(crate) owner: Owner,
    pub(crate) created: Moment,
    pub(crate) amount: i64,
    pub(crate) currency: Currency,
    pub(crate) status: DisputeStatus,
    pub(crate) began_as_inquiry: bool,
    pub(crate) reason: String,
    pub(crate) charge: Id<Charge>,
    pub(crate) payment_intent: Option<Id<PaymentIntent>>,
    pub(crate) balance_transactions: Vec<Id<BalanceTransaction>>,
    pub(crate) submissions: u32,
    pub(crate) metadata: Metadata,
}

impl Resource for Dispute {
    const PREFIX: &'static str = "du_";
    const NOUN: &'static str = "dispute";

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
        let transactions: Vec<Value> = self
            .balance_transactions
            .iter()
            .map(|id| around.movement(id))
            .collect();
        let charge = around.charge(&self.charge);
        let refundable = self.status.is_inquiry() && charge.is_some_and(|charge| charge.refundable() > 0);
        let week = 7 * 24 * 3600;
        shape(
            &EXAMPLE,
            json!({
                "id": self.id,
                "created": self.created.seconds(),
                "amount": self.amount,
                "balance_transactions": transactions,
                "charge": self.charge,
                "currency": self.currency,
                "evidence_details": {
                    "due_by": self.created.seconds() + week,
                    "enhanced_eligibility": {},
                    "has_evidence": self.submissions > 0,
                    "past_due": false,
                    "submission_count": self.submissions,
                },
                "is_charge_refundable": refundable,
                "metadata": self.metadata,
                "payment_intent": self.payment_intent,
                "reason": self.reason,
                "status": self.status.name(),
            }),
        )
    }
}
