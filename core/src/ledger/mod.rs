//! The double-entry ledger: accounts, signed legs, and the one function that writes them.
//!
//! Signs: what the platform owes is positive. So −Σ `stripe:clearing` is the platform's balance at Stripe, −Σ `stripe:in_transit`
//! is what connected accounts hold and payouts not yet paid, and everything together sums to zero for each currency.

mod account;
mod locked_balances;
mod post;
mod suspense;

pub use account::{Account, Leg, PlatformAccount};
pub use locked_balances::{Balance, Collected, LockedBalances, PostingError};
pub(crate) use post::post;
pub use suspense::{PendingReturn, Suspended, begun_returns, has_left_suspense, suspended, suspended_of};
