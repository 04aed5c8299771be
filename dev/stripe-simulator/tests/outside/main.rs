//! The simulator as outsiders meet it: in a test of theirs, through Stripe's own libraries, and by the commands of its page.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests fail by panicking and live by the wall clock and the shell"
)]

mod embedded;
mod libraries;
mod page;
