//! Work that falls due, including moves that a test ordered: the failures and disputes that come days after the money.

use super::{balance, disputes, payment_intents, payouts, refunds};
use crate::state::{Move, Origin, State, Timer};

/// Does everything that is due; returns whether there was anything.
pub(crate) fn run_due(state: &mut State) -> bool {
    let now = state.now();
    let mut is_changed = false;
    while let Some(timer) = state.timers.take_due(now) {
        is_changed = true;
        match timer {
            Timer::SettleIntent(id) => payment_intents::settle_by_fate(state, &id),
            Timer::Mature(id) => balance::mature(state, &id),
            Timer::AdvancePayout(id) => payouts::advance_by_itself(state, &id),
            Timer::CompleteRefund(id) => refunds::complete(state, &id),
            Timer::FailRefund(id) => refunds::fail_later(state, &id),
            Timer::RetryRefunds => refunds::retry_waiting(state),
            Timer::Ordered(what) => what.come_due(state),
            Timer::Deliver(delivery) => state.ready.push(delivery),
        }
    }
    is_changed
}

impl Move {
    /// Does it now. Returns whether that was possible.
    pub(crate) fn carry_out(self, state: &mut State) -> bool {
        let origin = Origin::default();
        match self {
            Self::Payout(id, next, failure) => payouts::step(state, &origin, &id, next, failure.as_deref()),
            Self::Refund(id, next, failure) => refunds::step(state, &origin, &id, next, failure.as_deref()),
            Self::OpenDispute(new) => disputes::open(state, new).is_some(),
            Self::Dispute(id, next, funds) => disputes::step(state, &origin, &id, next, funds),
        }
    }

    /// Does it because it is due; if it has become impossible, that is only logged.
    pub(crate) fn come_due(self, state: &mut State) {
        let what = format!("{self:?}");
        if !self.carry_out(state) {
            tracing::warn!(what, "what was ordered for now is no longer possible");
        }
    }
}
