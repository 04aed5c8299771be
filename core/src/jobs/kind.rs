//! The kinds of jobs and the queues that serve them.

use std::fmt;
use std::str::FromStr;

/// A queue: work of one nature, served by workers of its own so that a slow Stripe never delays a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueueName {
    /// Wallet to wallet, no Stripe.
    Transfers,
    /// Payment intents.
    Deposits,
    /// Holds, transfers to connected accounts, payouts, reversals.
    Withdrawals,
    /// Stored Stripe events.
    Webhooks,
    /// Housekeeping.
    Maintenance,
}

impl QueueName {
    /// Every queue.
    pub const ALL: [Self; 5] = [
        Self::Transfers,
        Self::Deposits,
        Self::Withdrawals,
        Self::Webhooks,
        Self::Maintenance,
    ];

    /// Its name in SQL, Redis, metrics and `WORKER_QUEUES`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transfers => "transfers",
            Self::Deposits => "deposits",
            Self::Withdrawals => "withdrawals",
            Self::Webhooks => "webhooks",
            Self::Maintenance => "maintenance",
        }
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown queue {0:?}: use transfers, deposits, withdrawals, webhooks or maintenance")]
pub struct UnknownQueue(String);

impl FromStr for QueueName {
    type Err = UnknownQueue;

    fn from_str(text: &str) -> Result<Self, UnknownQueue> {
        Self::ALL
            .into_iter()
            .find(|queue| queue.as_str() == text)
            .ok_or_else(|| UnknownQueue(text.to_owned()))
    }
}

macro_rules! job_kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal on $queue:ident,)+) => {
        /// What a job does; `worker/src/jobs` does it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum JobKind {
            $($(#[$doc])* $name,)+
        }

        impl JobKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its name in SQL.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// The queue that serves it.
            #[must_use]
            pub const fn queue(self) -> QueueName {
                match self {
                    $(Self::$name => QueueName::$queue,)+
                }
            }

            /// The kind of a name read from SQL; none for a kind of a newer version.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
            }
        }
    };
}

impl JobKind {
    /// What operators decide about a transaction.
    pub const DECISIONS: [Self; 5] = [
        Self::CreditReview,
        Self::ReturnReview,
        Self::CloseReview,
        Self::WithdrawalPaid,
        Self::WithdrawalTakenBack,
    ];
}

job_kinds! {
    /// Moves money by one posting without Stripe (transfers, payments, their refunds, returned refunds), in batches.
    Transfer = "transfer" on Transfers,
    /// Creates the payment intent of a deposit, and confirms it when a payment method was given.
    DepositIntent = "deposit_intent" on Deposits,
    /// Moves the amount of a withdrawal from available to frozen.
    WithdrawalHold = "withdrawal_hold" on Withdrawals,
    /// Sends the held amount to the connected account.
    WithdrawalTransfer = "withdrawal_transfer" on Withdrawals,
    /// Pays the connected account out to its bank.
    WithdrawalPayout = "withdrawal_payout" on Withdrawals,
    /// Moves the amount of a deposit's refund from available to frozen.
    RefundHold = "refund_hold" on Deposits,
    /// Creates the refund of a deposit at Stripe.
    RefundCreate = "refund_create" on Deposits,
    /// Books what Stripe kept of a deposit, or charged for a refund of one, once Stripe knows it.
    DepositFee = "deposit_fee" on Maintenance,
    /// Undoes what its owner has cancelled, if nothing irreversible has happened.
    Cancel = "cancel" on Maintenance,
    /// Credits what lies in suspense for a deposit, as an operator has decided.
    CreditReview = "credit_review" on Maintenance,
    /// Gives what lies in suspense for a deposit back to its payer, as an operator has decided.
    ReturnReview = "return_review" on Maintenance,
    /// Books what is left in suspense for a deposit when nothing of its payment can be given back, as an operator has decided.
    CloseReview = "close_review" on Maintenance,
    /// Ends a withdrawal whose payout Stripe no longer shows to us as paid, as an operator has decided.
    WithdrawalPaid = "withdrawal_paid" on Maintenance,
    /// Ends such a withdrawal as not paid: its money is taken back, as an operator has decided.
    WithdrawalTakenBack = "withdrawal_taken_back" on Maintenance,
    /// Asks Stripe how a transaction stands and settles the answer.
    AskStripe = "ask_stripe" on Maintenance,
    /// Reads Stripe's list of events for those that no webhook brought.
    PageEvents = "page_events" on Maintenance,
    /// Takes the transfer back and releases the hold after a payout that failed.
    WithdrawalReversal = "withdrawal_reversal" on Withdrawals,
    /// Understands one stored Stripe event and settles what it is about.
    StripeEvent = "stripe_event" on Webhooks,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_the_same_thing() {
        for queue in QueueName::ALL {
            assert_eq!(queue.as_str().parse::<QueueName>().unwrap(), queue);
        }
        for kind in JobKind::ALL {
            assert_eq!(JobKind::from_name(kind.as_str()), Some(*kind));
        }
        assert!("transfer".parse::<QueueName>().is_err());
    }
}
