//! The worker: takes jobs, locks wallets, calls Stripe and settles.
//!
//! [`run`] starts everything and drains it at the end. The path of a job: a [`wallet_core::queue::Consumer`] receives
//! ids, `execution` claims and runs the jobs, and one module of `jobs` does the work of each kind. `observations`
//! settles what the state of Stripe's objects asks for; `background` holds what a worker does besides its jobs.

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
mod settled_currencies;
mod start;
mod suspended_payment;
mod worker;

pub use program::program;
pub use run::{RunError, run};
pub use worker::Worker;
