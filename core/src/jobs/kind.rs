//! The kinds of jobs and the queues that serve them.

use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::sql_types::Text;
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use crate::db::types::column_of;

/// A queue: work of one nature, with workers of its own so that a slow Stripe never delays a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[derive(Display, EnumString, IntoStaticStr, VariantArray, AsExpression, FromSqlRow)]
#[diesel(sql_type = Text)]
#[strum(serialize_all = "snake_case", parse_err_ty = UnknownQueue, parse_err_fn = unknown_queue)]
pub enum QueueName {
    /// Wallet to wallet, no Stripe.
    Transfers,
    /// Payment intents, and refunds of deposits.
    Deposits,
    /// Holds, transfers to connected accounts, payouts, reversals.
    Withdrawals,
    /// Stored Stripe events.
    Webhooks,
    /// Housekeeping, fees, cancellations and operators' decisions.
    Maintenance,
}

column_of!(QueueName, Text);

/// A name that is not a queue's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown queue {0:?}: use transfers, deposits, withdrawals, webhooks or maintenance")]
pub struct UnknownQueue(String);

fn unknown_queue(text: &str) -> UnknownQueue {
    UnknownQueue(text.to_owned())
}

/// What a job does; the implementations are in `worker/src/jobs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[derive(EnumString, IntoStaticStr, VariantArray, AsExpression, FromSqlRow)]
#[diesel(sql_type = Text)]
#[strum(serialize_all = "snake_case")]
pub enum JobKind {
    /// Moves money by one posting without Stripe (transfers, payments, their refunds, returned refunds), in batches.
    Transfer,
    /// Creates the payment intent of a deposit, and confirms it when a payment method was given.
    DepositIntent,
    /// Moves the amount of a withdrawal from available to held.
    WithdrawalHold,
    /// Sends the held amount to the connected account.
    WithdrawalTransfer,
    /// Pays the connected account out to its bank.
    WithdrawalPayout,
    /// Moves the amount of a deposit's refund from available to held.
    RefundHold,
    /// Creates the refund of a deposit at Stripe.
    RefundCreate,
    /// Books the fee that Stripe kept of a deposit, or charged for a refund of one, once Stripe knows it.
    DepositFee,
    /// Undoes a transaction that its owner has cancelled, if nothing irreversible has happened.
    Cancel,
    /// Credits what lies in suspense for a deposit, as an operator has decided.
    CreditReview,
    /// Returns what lies in suspense for a deposit to its payer, as an operator has decided.
    ReturnReview,
    /// Books what is left in suspense for a deposit when nothing of its payment can be refunded, as an operator has decided.
    CloseReview,
    /// Ends as paid a withdrawal whose payout Stripe no longer shows to us, as an operator has decided.
    WithdrawalPaid,
    /// Ends such a withdrawal as not paid and reverses its transfer, as an operator has decided.
    WithdrawalTakenBack,
    /// Asks Stripe for the state of a transaction and settles the answer.
    AskStripe,
    /// Reads Stripe's list of events to find those that no webhook delivered.
    PageEvents,
    /// Reverses the transfer and releases the hold after a payout that failed.
    WithdrawalReversal,
    /// Interprets one stored Stripe event and settles what it is about.
    StripeEvent,
}

column_of!(JobKind, Text);

impl JobKind {
    /// The kinds that carry out an operator's decision about a transaction.
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
