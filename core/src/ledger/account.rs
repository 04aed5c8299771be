//! Accounts and legs.

use std::fmt;

use crate::ids::WalletId;
use crate::money::Money;

/// An account of the platform; one for each currency, without a running balance, so that it is never a hot row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PlatformAccount {
    /// The platform's balance at Stripe (negative: an asset).
    StripeClearing,
    /// On connected accounts and in payouts not yet paid (negative: an asset).
    StripeInTransit,
    /// What Stripe charged.
    StripeFees,
    /// What the platform earned.
    PlatformFees,
    /// Money whose owner is not known yet.
    PlatformSuspense,
    /// What users owe the platform.
    PlatformReceivable,
}

/// Where a leg is booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Account {
    /// What a wallet can spend.
    Available(WalletId),
    /// What is held of a wallet.
    Frozen(WalletId),
    /// An account of the platform.
    Platform(PlatformAccount),
}

impl Account {
    /// [`PlatformAccount::StripeClearing`]
    pub const CLEARING: Self = Self::Platform(PlatformAccount::StripeClearing);
    /// [`PlatformAccount::StripeInTransit`]
    pub const IN_TRANSIT: Self = Self::Platform(PlatformAccount::StripeInTransit);
    /// [`PlatformAccount::StripeFees`]
    pub const STRIPE_FEES: Self = Self::Platform(PlatformAccount::StripeFees);
    /// [`PlatformAccount::PlatformFees`]
    pub const PLATFORM_FEES: Self = Self::Platform(PlatformAccount::PlatformFees);
    /// [`PlatformAccount::PlatformSuspense`]
    pub const SUSPENSE: Self = Self::Platform(PlatformAccount::PlatformSuspense);
    /// [`PlatformAccount::PlatformReceivable`]
    pub const RECEIVABLE: Self = Self::Platform(PlatformAccount::PlatformReceivable);

    /// Its name in `ledger_entries.account`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Available(_) => "wallet:available",
            Self::Frozen(_) => "wallet:frozen",
            Self::Platform(PlatformAccount::StripeClearing) => "stripe:clearing",
            Self::Platform(PlatformAccount::StripeInTransit) => "stripe:in_transit",
            Self::Platform(PlatformAccount::StripeFees) => "stripe:fees",
            Self::Platform(PlatformAccount::PlatformFees) => "platform:fees",
            Self::Platform(PlatformAccount::PlatformSuspense) => "platform:suspense",
            Self::Platform(PlatformAccount::PlatformReceivable) => "platform:receivable",
        }
    }

    /// The wallet of a wallet's account.
    #[must_use]
    pub const fn wallet(self) -> Option<WalletId> {
        match self {
            Self::Available(wallet) | Self::Frozen(wallet) => Some(wallet),
            Self::Platform(_) => None,
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One signed line of a posting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leg {
    /// Where.
    pub account: Account,
    /// How much, signed.
    pub amount: Money,
}

impl Leg {
    /// The two legs that move `amount` from one account to another.
    #[must_use]
    pub fn pair(from: Account, to: Account, amount: Money) -> [Self; 2] {
        [
            Self {
                account: from,
                amount: amount.negated(),
            },
            Self { account: to, amount },
        ]
    }
}
