//! The worker: takes jobs, locks wallets, calls Stripe and settles.
//!
//! [`run`] starts everything and drains it at the end. The way of a job: a [`wallet_core::queue::Consumer`] brings ids, the
//! `executor` claims them (fence and lease), one file of `jobs` does what its kind says, and `outcome` ends the job when it
//! was not ended by its own settlement. Transfers go through `batch` instead, many in one database transaction.

mod batch;
mod checks;
mod direct;
mod executor;
mod health;
mod hedge;
mod jobs;
mod key_alarms;
mod lease;
mod maintenance;
mod measured;
mod metrics;
mod observe;
mod operator;
mod outcome;
mod platform;
mod program;
mod quorum;
mod refusal;
mod resume;
mod run;
mod settlement;
mod start;
mod suspended_payment;
mod waits;
mod worker;

pub use program::program;
pub use run::{RunError, run};
pub use worker::Worker;
