//! The simulator as outsiders meet it: through Stripe's own libraries, and by the commands of its page.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests fail by panicking and live by the wall clock and the shell"
)]

mod libraries;
mod page;
