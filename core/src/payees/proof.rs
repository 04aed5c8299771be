//! The owner of a connected account: only the `user_id` in the account's metadata at Stripe proves it.
//!
//! Metadata of a connected account is written only by the platform (<https://docs.stripe.com/api/accounts/update>), so whoever opened the
//! account for a person has named that person there. An id proves nothing: it is printed on every dashboard and in every event.

use chrono::{DateTime, Utc};

use crate::ids::UserId;
use crate::stripe::{Account, AccountId, StripeError};

/// A connected account whose owner Stripe has confirmed. Only such an account is stored as a wallet's payout account, gets a link or has its
/// schedule changed.
#[derive(Debug, Clone)]
pub struct ProvenAccount {
    owner: UserId,
    account: Account,
    asked_at: DateTime<Utc>,
}

impl ProvenAccount {
    /// Returns the account as `owner`'s, or `None` if Stripe names no or another owner; `asked_at` is when Stripe was asked.
    #[must_use]
    pub fn of(account: Account, owner: UserId, asked_at: DateTime<Utc>) -> Option<Self> {
        (account.metadata.user_id == Some(owner)).then_some(Self {
            owner,
            account,
            asked_at,
        })
    }

    /// Returns its owner.
    #[must_use]
    pub const fn owner(&self) -> UserId {
        self.owner
    }

    /// Returns Stripe's description of it.
    #[must_use]
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// `acct_…`
    #[must_use]
    pub const fn id(&self) -> &AccountId {
        &self.account.id
    }

    /// Returns when Stripe was asked.
    #[must_use]
    pub const fn asked_at(&self) -> DateTime<Utc> {
        self.asked_at
    }
}

/// Returns whether Stripe refuses a request about a connected account because the platform does not have, or no longer has, such an account: 403
/// `account_invalid`, or 404 (<https://docs.stripe.com/error-codes#account-invalid>). Any other refusal may be about our key, and proves nothing.
#[must_use]
pub fn is_gone(error: &StripeError) -> bool {
    error.status == Some(404) || error.code.as_deref() == Some("account_invalid")
}
