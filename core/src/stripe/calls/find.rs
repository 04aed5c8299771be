//! Looks for the objects at Stripe that a call may have made, if its record does not show them: Stripe forgets a key after a day, and the database
//! may have been restored from a backup. Only an object that names the subject in its metadata and matches the call in all other respects counts.

use chrono::{DateTime, Utc};

use super::CLOCKS_DIFFER;
use crate::stripe::client::StripeClient;
use crate::stripe::errors::StripeError;
use crate::stripe::params::{
    CreateAccount, CreateCustomer, CreatePaymentIntent, CreatePayout, CreateRefund, CreateReversal,
    CreateTransfer,
};
use crate::stripe::status::{PaymentIntentStatus, PayoutStatus, RefundStatus, ReversalStatus};

/// An object that a call may have made.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub(super) id: String,
    pub(super) created: DateTime<Utc>,
    pub(super) state: CandidateState,
}

/// What has become of an object. If several look alike, the one whose state comes first here is the call's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CandidateState {
    /// It is finished.
    Done,
    /// It is under way.
    UnderWay,
    /// It waits for the payer.
    Waiting,
    /// It has failed, or was cancelled or reversed: in the end it has moved nothing.
    Undone,
}

impl Candidate {
    fn new(id: &str, created: DateTime<Utc>, state: CandidateState) -> Self {
        let id = id.to_owned();
        Self { id, created, state }
    }

    /// Returns whether a call first sent then may have made it. Stripe's times are whole seconds, by its own clock.
    pub(super) fn may_be_of(&self, first_sent: DateTime<Utc>) -> bool {
        self.created.signed_duration_since(first_sent) > -CLOCKS_DIFFER
    }
}

type Answer = Result<Vec<Candidate>, StripeError>;

/// Customers cannot be looked up by their person. A second one moves no money, and the first one recorded counts.
pub(super) async fn customer(_: &CreateCustomer, _: &StripeClient, _: DateTime<Utc>) -> Answer {
    Ok(Vec::new())
}

/// Accounts cannot be looked up either: a second one stays empty, since no wallet names it.
pub(super) async fn account(_: &CreateAccount, _: &StripeClient, _: DateTime<Utc>) -> Answer {
    Ok(Vec::new())
}

/// Searches the intents of the customer.
pub(super) async fn payment_intent(
    call: &CreatePaymentIntent,
    client: &StripeClient,
    since: DateTime<Utc>,
) -> Answer {
    let listed = client
        .list_payment_intents(&call.customer, since - CLOCKS_DIFFER)
        .await?;
    let ours = listed.iter().filter(|intent| {
        intent.metadata.transaction_id == Some(call.tags.transaction_id) && intent.amount == call.amount
    });
    Ok(ours
        .map(|intent| {
            let state = match intent.status {
                PaymentIntentStatus::Succeeded => CandidateState::Done,
                PaymentIntentStatus::Canceled => CandidateState::Undone,
                PaymentIntentStatus::RequiresPaymentMethod
                | PaymentIntentStatus::RequiresConfirmation
                | PaymentIntentStatus::RequiresAction => CandidateState::Waiting,
                PaymentIntentStatus::Processing
                | PaymentIntentStatus::RequiresCapture
                | PaymentIntentStatus::Unknown(_) => CandidateState::UnderWay,
            };
            Candidate::new(intent.id.as_str(), intent.created, state)
        })
        .collect())
}

/// Searches the transfers of the withdrawal's `transfer_group`.
pub(super) async fn transfer(call: &CreateTransfer, client: &StripeClient, _: DateTime<Utc>) -> Answer {
    let transaction = call.tags.transaction_id;
    let mut found = Vec::new();
    for transfer in client.list_transfers(transaction).await? {
        let is_ours = transfer.metadata.transaction_id == Some(transaction)
            && transfer.amount == call.amount
            && transfer.destination.as_ref() == Some(&call.destination);
        if is_ours {
            let state = if client.is_reversed(&transfer).await? {
                CandidateState::Undone
            } else {
                CandidateState::Done
            };
            found.push(Candidate::new(transfer.id.as_str(), transfer.created, state));
        }
    }
    Ok(found)
}

/// Searches the payouts of the account.
pub(super) async fn payout(call: &CreatePayout, client: &StripeClient, since: DateTime<Utc>) -> Answer {
    let listed = client.list_payouts(&call.account, since - CLOCKS_DIFFER).await?;
    let ours = listed.iter().filter(|payout| {
        payout.metadata.transaction_id == Some(call.tags.transaction_id)
            && payout.is_what_was_asked_for(call.amount, call.destination.as_ref())
    });
    Ok(ours
        .map(|payout| {
            let state = match payout.status {
                PayoutStatus::Paid => CandidateState::Done,
                PayoutStatus::Failed | PayoutStatus::Canceled => CandidateState::Undone,
                PayoutStatus::Pending | PayoutStatus::InTransit | PayoutStatus::Unknown(_) => {
                    CandidateState::UnderWay
                }
            };
            Candidate::new(payout.id.as_str(), payout.created, state)
        })
        .collect())
}

/// Searches the refunds of the payment.
pub(super) async fn refund(call: &CreateRefund, client: &StripeClient, _: DateTime<Utc>) -> Answer {
    let listed = client.list_refunds(&call.payment_intent).await?;
    let ours = listed.iter().filter(|refund| {
        refund.metadata.transaction_id == Some(call.tags.transaction_id) && refund.amount == call.amount
    });
    Ok(ours
        .map(|refund| {
            let state = match refund.status {
                RefundStatus::Succeeded => CandidateState::Done,
                RefundStatus::Failed | RefundStatus::Canceled => CandidateState::Undone,
                RefundStatus::Pending | RefundStatus::RequiresAction | RefundStatus::Unknown(_) => {
                    CandidateState::UnderWay
                }
            };
            Candidate::new(refund.id.as_str(), refund.created, state)
        })
        .collect())
}

/// Searches the reversals of the transfer, except those that have taken nothing and never will.
pub(super) async fn reversal(call: &CreateReversal, client: &StripeClient, _: DateTime<Utc>) -> Answer {
    let listed = client.list_reversals(&call.transfer).await?;
    let ours = listed.iter().filter(|reversal| {
        reversal.metadata.transaction_id == Some(call.tags.transaction_id)
            && !matches!(reversal.status, ReversalStatus::Failed | ReversalStatus::Canceled)
            && reversal.amount == call.amount
    });
    Ok(ours
        .map(|reversal| {
            let state = match reversal.status {
                ReversalStatus::Succeeded => CandidateState::Done,
                _ => CandidateState::UnderWay,
            };
            Candidate::new(reversal.id.as_str(), reversal.created, state)
        })
        .collect())
}
