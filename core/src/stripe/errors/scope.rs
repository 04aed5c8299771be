//! The scope of a failed call: the work that it may stop. All other work continues.

use super::ErrorClass;

/// The smallest unit that a failure can be about. Everything outside it continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The call, with its parameters and the objects it names.
    Call,
    /// One connected account: it has disconnected, or grants the platform less than the call needs.
    Account,
    /// A kind of object or operation for which our key has no permission.
    Kind,
    /// A lane of calls: Stripe, or the connection to it, does not work.
    Lane,
    /// The platform's key: no call at all can succeed.
    Key,
}

impl ErrorClass {
    /// Returns the scope of a failure of this class.
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

    /// Returns whether this answer can only come from Stripe after it had accepted our key.
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
            // Refused and Misuse may have been decided here, before anything was sent; an answer that we cannot read may not be Stripe's.
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
