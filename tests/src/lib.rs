//! Support for the integration tests in `tests/it`: real servers, a real API, real workers and the Stripe simulator.
//!
//! [`TestApp`] is one running system of its own: a database made from a template, its own place in Redis, its own simulator, the API
//! on a free port and any number of workers, all in this process and on one clock that tests move. [`TestApp::finish`] ends it and
//! checks what must always hold ([`books`]). The servers behind it are shared by all tests of a run ([`servers`]).
//!
//! A failure here panics, which fails the test.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "code of tests: it fails by panicking and lives by the wall clock"
)]

pub mod answer;
pub mod app;
pub mod books;
pub mod database;
pub mod held_lock;
pub mod money;
pub mod poll;
pub mod programs;
pub mod servers;
pub mod socket;
pub mod stripe;
pub mod system;
pub mod user;
pub mod webhook;

pub use answer::Answer;
pub use app::{Options, TestApp};
pub use database::Database;
pub use poll::{eventually, until};
pub use stripe::Stripe;
pub use user::User;
pub use wallet_dev::token::Role;
