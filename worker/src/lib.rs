//! The worker: takes jobs, locks wallets, calls Stripe and settles.
//!
//! [`run`] starts everything and drains it at the end. The way of a job: a [`wallet_core::queue::Consumer`] brings ids, `execution` claims and
//! runs them, and one file of `jobs` does what its kind says. What Stripe's objects ask for is settled by `observations`; what a worker does
//! beside its jobs is in `background`.

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
