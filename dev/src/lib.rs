//! wallet-dev: the local stack (private servers, the Stripe simulator, our programs), used by `bin/dev`, the tests and the benchmarks.
//!
//! Development only: nothing here is deployed.
#![expect(
    clippy::disallowed_methods,
    reason = "a tool for the developer's machine lives by its wall clock, shell and randomness"
)]

pub mod demo;
pub mod documents;
pub mod library;
pub mod pace;
pub mod say;
pub mod stack;
pub mod token;
pub mod up;
