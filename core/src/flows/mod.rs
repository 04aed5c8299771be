//! The flows of money as pure state machines.
//!
//! Each flow is one constant table of edges ([`DEPOSIT`], [`WITHDRAWAL`], [`TRANSFER`]) and one pure function that decides what a
//! command means for a transaction at its stage: which edge, which ledger legs, which words for the owner, which job next.
//! Nothing here reads a clock, a database or Stripe; [`crate::settle`] carries the decisions out.

mod command;
mod decide;
mod deposit;
mod machine;
mod transfer;
mod withdrawal;

pub use command::{Command, FailureCode, FailureReason};
pub use decide::{Changes, Decision, FollowUp, Verdict, decide};
pub use machine::{DEPOSIT, Edge, Event, Next, Stage, TRANSFER, WITHDRAWAL, edges, next};
