//! Accounts and legs.

use std::fmt;

use crate::ids::WalletId;
use crate::money::Money;

/// An account of the platform; one for each currency, without a running balance, so that it is never a hot row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PlatformAccount {
    /// The platform's balance at Stripe (negative: an asset).
    StripeClearing,
    /// Money on connected accounts and in payouts that are not paid yet (negative: an asset).
    StripeInTransit,
    /// The fees that Stripe charged.
    StripeFees,
    /// The fees that the platform earned.
    PlatformFees,
    /// Money whose owner is not known yet.
    PlatformSuspense,
    /// What users owe the platform.
    PlatformReceivable,
}

/// The account to which a leg is booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Account {
    /// The spendable balance of a wallet.
    Available(WalletId),
    /// The held balance of a wallet.
    Held(WalletId),
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

    /// Returns its name in `ledger_entries.account`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Available(_) => "wallet:available",
            Self::Held(_) => "wallet:frozen",
            Self::Platform(PlatformAccount::StripeClearing) => "stripe:clearing",
            Self::Platform(PlatformAccount::StripeInTransit) => "stripe:in_transit",
            Self::Platform(PlatformAccount::StripeFees) => "stripe:fees",
            Self::Platform(PlatformAccount::PlatformFees) => "platform:fees",
            Self::Platform(PlatformAccount::PlatformSuspense) => "platform:suspense",
            Self::Platform(PlatformAccount::PlatformReceivable) => "platform:receivable",
        }
    }

    /// Returns the wallet, or `None` for an account of the platform.
    #[must_use]
    pub const fn wallet(self) -> Option<WalletId> {
        match self {
            Self::Available(wallet) | Self::Held(wallet) => Some(wallet),
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
    /// The account.
    pub account: Account,
    /// The amount, signed.
    pub amount: Money,
}

impl Leg {
    /// Returns the two legs that move `amount` from one account to another.
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

    /// Returns the legs that set `amount` of what `wallet` can spend aside.
    #[must_use]
    pub fn hold(wallet: WalletId, amount: Money) -> [Self; 2] {
        Self::pair(Account::Available(wallet), Account::Held(wallet), amount)
    }

    /// Returns the legs that release `amount` of what is held to what `wallet` can spend.
    #[must_use]
    pub fn release(wallet: WalletId, amount: Money) -> [Self; 2] {
        Self::pair(Account::Held(wallet), Account::Available(wallet), amount)
    }
}
