//! Whose a connected account is: Stripe says so, by the `user_id` in the account's metadata, and nobody else.
//!
//! Metadata of a connected account is written by the platform alone (<https://docs.stripe.com/api/accounts/update>), so whoever opened the
//! account for a person has named that person there. An id proves nothing: it is printed on every dashboard and in every event.

use chrono::{DateTime, Utc};

use crate::ids::UserId;
use crate::stripe::{Account, AccountId, StripeError};

/// A connected account of which Stripe has said whose it is. Only such a one is stored as a wallet's payout account, gets a link or has
/// its schedule changed.
#[derive(Debug, Clone)]
pub struct ProvenAccount {
    owner: UserId,
    account: Account,
    asked_at: DateTime<Utc>,
}

impl ProvenAccount {
    /// The account as `owner`'s, if Stripe says that it is; `asked_at` is when Stripe was asked.
    #[must_use]
    pub fn of(account: Account, owner: UserId, asked_at: DateTime<Utc>) -> Option<Self> {
        (account.metadata.user_id == Some(owner)).then_some(Self {
            owner,
            account,
            asked_at,
        })
    }

    /// Whose it is.
    #[must_use]
    pub const fn owner(&self) -> UserId {
        self.owner
    }

    /// What Stripe said of it.
    #[must_use]
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// `acct_…`
    #[must_use]
    pub const fn id(&self) -> &AccountId {
        &self.account.id
    }

    /// When Stripe said so.
    #[must_use]
    pub const fn asked_at(&self) -> DateTime<Utc> {
        self.asked_at
    }
}

/// Whether Stripe refuses a question about a connected account because the platform has no such account (any more): 403 `account_invalid`, or 404
/// (<https://docs.stripe.com/error-codes#account-invalid>). Any other refusal may be about our key and says nothing about the account.
#[must_use]
pub fn is_gone(error: &StripeError) -> bool {
    error.status == Some(404) || error.code.as_deref() == Some("account_invalid")
}
