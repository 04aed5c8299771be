//! Connected accounts at Stripe: to which of them each person is paid out, and whether Stripe pays it out.
//! [`crate::accept::Payees`] opens them.
//!
//! A wallet names its account in `stripe_account_id`, from its creation, from the onboarding or by a change; each time Stripe has confirmed
//! before that the account belongs to the wallet's owner ([`ProvenAccount`]). Stripe's latest description of an account is in
//! `stripe_accounts`. Wallets of earlier versions may name an account that was never proven: it is checked before anything is sent to it.

mod proof;
mod store;

pub use proof::{ProvenAccount, is_gone};
pub use store::{DISCONNECTED, PayeeAccount, close, find, is_named_by, mark_paid, record};
