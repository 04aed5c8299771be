//! What a failed call is about: whom it may stop, and nobody else.

use super::ErrorClass;

/// The smallest thing that a failure can be about. Everything outside goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// This call, with its parameters and the objects it names.
    Call,
    /// One connected account: it has disconnected, or gives the platform less than the call needs.
    Account,
    /// A kind of object, or of operation, that our key may not use.
    Kind,
    /// A lane of calls: Stripe, or the way to it, does not work.
    Lane,
    /// The platform's key: no call of anybody can succeed.
    Key,
}

impl ErrorClass {
    /// What it is about.
    #[must_use]
    pub const fn scope(self) -> Scope {
        match self {
            Self::InUse
            | Self::ObjectBusy
            | Self::InsufficientPlatformFunds
            | Self::Declined
            | Self::AuthenticationRequired
            | Self::Refused
            | Self::NotFound
            | Self::Unreadable
            | Self::Foreign
            | Self::Misuse => Scope::Call,
            Self::AccountForbidden => Scope::Account,
            Self::KindForbidden => Scope::Kind,
            Self::Unknown | Self::RateLimited | Self::Unreachable => Scope::Lane,
            Self::KeyRefused => Scope::Key,
        }
    }

    /// Whether it can only have come from a Stripe that had accepted our key.
    #[must_use]
    pub const fn proves_key(self) -> bool {
        match self {
            Self::InUse
            | Self::ObjectBusy
            | Self::InsufficientPlatformFunds
            | Self::Declined
            | Self::AuthenticationRequired
            | Self::NotFound
            | Self::Foreign
            | Self::AccountForbidden
            | Self::KindForbidden => true,
            // Refused and Misuse may have been decided here, before anything was sent; what is not understood may be somebody else's.
            Self::Unknown
            | Self::Unreadable
            | Self::RateLimited
            | Self::Unreachable
            | Self::KeyRefused
            | Self::Refused
            | Self::Misuse => false,
        }
    }
}
