//! The worker: takes jobs, locks wallets, calls Stripe and settles.
//!
//! [`run`] starts everything and drains it at the end. The way of a job: a [`wallet_core::queue::Consumer`] brings ids, the
//! `executor` claims them (fence and lease), one file of `jobs` does what its kind says, and `outcome` ends the job when it
//! was not ended by its own settlement. Transfers go through `batch` instead, many in one database transaction.

mod background;
mod execution;
mod failed_alone;
mod health;
mod job_error;
mod jobs;
mod lock_waits;
mod log_span;
mod metrics;
mod observations;
mod operator;
mod program;
mod refusal;
mod run;
mod settlement;
mod start;
mod suspended_payment;
mod worker;

pub use program::program;
pub use run::{RunError, run};
pub use worker::Worker;
