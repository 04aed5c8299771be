//! Connected accounts at Stripe: who is paid out to which, whether Stripe pays it out, and how a person comes to have one.
//!
//! A wallet names its account in `stripe_account_id`, from its creation or from the onboarding. What Stripe last said of an account is
//! in `stripe_accounts`, written by the onboarding and by the worker that reads `account.updated`; an account without a row is one
//! that was named by its owner and of which Stripe has not told yet.

mod onboard;
mod store;
mod urls;

pub use onboard::{OnboardError, OnboardInput, Onboarding, Payees};
pub use store::{PayeeAccount, find, mark_paid, owner_of, record};
pub use urls::LONGEST_URL;
