//! The kinds of jobs and the queues that serve them.

use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::sql_types::Text;
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use crate::db::types::column_of;

/// A queue: work of one nature, served by workers of its own so that a slow Stripe never delays a transfer.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    AsExpression,
    FromSqlRow,
)]
#[diesel(sql_type = Text)]
#[strum(serialize_all = "snake_case", parse_err_ty = UnknownQueue, parse_err_fn = unknown_queue)]
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

column_of!(QueueName, Text);

/// A name that is no queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown queue {0:?}: use transfers, deposits, withdrawals, webhooks or maintenance")]
pub struct UnknownQueue(String);

fn unknown_queue(text: &str) -> UnknownQueue {
    UnknownQueue(text.to_owned())
}

/// What a job does; `worker/src/jobs` does it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray, AsExpression, FromSqlRow,
)]
#[diesel(sql_type = Text)]
#[strum(serialize_all = "snake_case")]
pub enum JobKind {
    /// Moves money by one posting without Stripe (transfers, payments, their refunds, returned refunds), in batches.
    Transfer,
    /// Creates the payment intent of a deposit, and confirms it when a payment method was given.
    DepositIntent,
    /// Moves the amount of a withdrawal from available to frozen.
    WithdrawalHold,
    /// Sends the held amount to the connected account.
    WithdrawalTransfer,
    /// Pays the connected account out to its bank.
    WithdrawalPayout,
    /// Moves the amount of a deposit's refund from available to frozen.
    RefundHold,
    /// Creates the refund of a deposit at Stripe.
    RefundCreate,
    /// Books what Stripe kept of a deposit, or charged for a refund of one, once Stripe knows it.
    DepositFee,
    /// Undoes what its owner has cancelled, if nothing irreversible has happened.
    Cancel,
    /// Credits what lies in suspense for a deposit, as an operator has decided.
    CreditReview,
    /// Gives what lies in suspense for a deposit back to its payer, as an operator has decided.
    ReturnReview,
    /// Books what is left in suspense for a deposit when nothing of its payment can be given back, as an operator has decided.
    CloseReview,
    /// Ends a withdrawal whose payout Stripe no longer shows to us as paid, as an operator has decided.
    WithdrawalPaid,
    /// Ends such a withdrawal as not paid: its money is taken back, as an operator has decided.
    WithdrawalTakenBack,
    /// Asks Stripe how a transaction stands and settles the answer.
    AskStripe,
    /// Reads Stripe's list of events for those that no webhook brought.
    PageEvents,
    /// Takes the transfer back and releases the hold after a payout that failed.
    WithdrawalReversal,
    /// Understands one stored Stripe event and settles what it is about.
    StripeEvent,
}

column_of!(JobKind, Text);

impl JobKind {
    /// What operators decide about a transaction.
    pub const DECISIONS: [Self; 5] = [
        Self::CreditReview,
        Self::ReturnReview,
        Self::CloseReview,
        Self::WithdrawalPaid,
        Self::WithdrawalTakenBack,
    ];

    /// The queue that serves it.
    #[must_use]
    pub const fn queue(self) -> QueueName {
        match self {
            Self::Transfer => QueueName::Transfers,
            Self::DepositIntent | Self::RefundHold | Self::RefundCreate => QueueName::Deposits,
            Self::WithdrawalHold
            | Self::WithdrawalTransfer
            | Self::WithdrawalPayout
            | Self::WithdrawalReversal => QueueName::Withdrawals,
            Self::DepositFee
            | Self::Cancel
            | Self::CreditReview
            | Self::ReturnReview
            | Self::CloseReview
            | Self::WithdrawalPaid
            | Self::WithdrawalTakenBack
            | Self::AskStripe
            | Self::PageEvents => QueueName::Maintenance,
            Self::StripeEvent => QueueName::Webhooks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_the_same_thing() {
        for queue in QueueName::ALL {
            assert_eq!(queue.as_str().parse(), Ok(*queue));
        }
        for kind in JobKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
        }
        assert!("transfer".parse::<QueueName>().is_err());
    }
}
