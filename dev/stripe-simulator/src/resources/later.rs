//! What a test orders for a later moment of the simulator's clock: the failures and disputes that come days after the money.

use serde::{Deserialize, Serialize};

use super::{disputes, payouts, refunds};
use crate::objects::{Dispute, DisputeStatus, Id, Payout, PayoutStatus, Refund, RefundStatus};
use crate::state::{Origin, State};

/// Something that a bank, a payer or Stripe's staff does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Move {
    /// A payout takes a step, failing with this code.
    Payout(Id<Payout>, PayoutStatus, Option<String>),
    /// A refund takes a step, failing for this reason.
    Refund(Id<Refund>, RefundStatus, Option<String>),
    /// A dispute is opened.
    OpenDispute(disputes::NewDispute),
    /// A dispute takes a step.
    Dispute(Id<Dispute>, DisputeStatus, disputes::Funds),
}

impl Move {
    /// Does it now. Says whether that was possible.
    pub(crate) fn carry_out(self, state: &mut State) -> bool {
        let origin = Origin::default();
        match self {
            Self::Payout(id, next, failure) => payouts::step(state, &origin, &id, next, failure.as_deref()),
            Self::Refund(id, next, failure) => refunds::step(state, &origin, &id, next, failure.as_deref()),
            Self::OpenDispute(new) => disputes::open(state, new).is_some(),
            Self::Dispute(id, next, funds) => disputes::step(state, &origin, &id, next, funds),
        }
    }

    /// Does it because its time has come; one that has become impossible is reported and otherwise without effect.
    pub(crate) fn come_due(self, state: &mut State) {
        let what = format!("{self:?}");
        if !self.carry_out(state) {
            tracing::warn!(what, "what was ordered for now is no longer possible");
        }
    }
}
