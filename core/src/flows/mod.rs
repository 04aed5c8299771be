//! The flows of money as pure state machines.
//!
//! Each [`Flow`](crate::transactions::Flow) is one constant table of edges ([`edges`]) and pure functions that decide what a
//! command means for a transaction at its stage: which edge, which ledger legs, which words for the owner, which job next.
//! The commands of a single flow are an enum in that flow's file; [`decide`] defines which flow accepts which command.
//! Nothing here reads a clock, a database or Stripe; [`crate::settle`] carries the decisions out.
//! `docs/FLOWS.md` draws them all.

mod command;
mod context;
mod contradiction;
mod debt;
mod debt_payment;
mod decide;
mod deposit;
mod dispute;
mod dispute_turn;
mod machine;
mod payment_refund;
mod refund;
mod returned;
mod suspense_return;
mod transfer;
mod undo;
mod withdrawal;

pub use command::{BalanceEntry, Command, DisputeEnd};
pub use context::Context;
pub use contradiction::Contradiction;
pub use decide::{Decided, Decision, decide};
pub use deposit::DepositCommand;
pub use dispute::DisputeCommand;
pub use machine::{Edge, Event, Next, edges, next};
pub use refund::RefundCommand;
pub use suspense_return::SuspenseReturnCommand;
pub use withdrawal::WithdrawalCommand;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
