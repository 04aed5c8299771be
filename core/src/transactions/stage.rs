//! Where a transaction can be.

use super::TransactionStatus;

macro_rules! stages {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal is $status:ident,)+) => {
        /// Where exactly a transaction is; the status is what this means to a client.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Stage {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Stage {
            /// Every stage.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its name in SQL.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// The status it means.
            #[must_use]
            pub const fn status(self) -> TransactionStatus {
                match self {
                    $(Self::$name => TransactionStatus::$status,)+
                }
            }

            /// What it means: the words of its documentation.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii(),)+
                }
            }

            /// The stage of a name read from SQL.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|stage| stage.as_str() == name)
            }
        }
    };
}

stages! {
    /// Stored, nothing has happened yet.
    Accepted = "accepted" is Pending,
    /// Deposit: the payment intent exists, Stripe has not told of the money.
    AwaitingPayment = "awaiting_payment" is Processing,
    /// Deposit: what was received is not what was asked for; it lies in suspense and a person decides.
    InReview = "in_review" is Processing,
    /// Withdrawal, refund of a deposit: the amount is frozen.
    Held = "held" is Processing,
    /// Withdrawal: the amount is on the connected account.
    Transferred = "transferred" is Processing,
    /// Withdrawal: the payout to the bank is under way.
    PayingOut = "paying_out" is Processing,
    /// Withdrawal, returned payout: the payout failed, the transfer is being taken back.
    Returning = "returning" is Processing,
    /// Refund of a deposit, outside refund: the refund exists at Stripe and is not final.
    Refunding = "refunding" is Processing,
    /// Dispute: what is in dispute is frozen or owed until the bank decides.
    Disputed = "disputed" is Processing,
    /// Done.
    Completed = "completed" is Completed,
    /// Ended without effect.
    Failed = "failed" is Failed,
    /// Taken back.
    Cancelled = "cancelled" is Cancelled,
}
