//! What Stripe has that a call may have made, when its record does not say: a key is forgotten after a day, and the books may be those of a
//! restored backup. Only what names the subject in its metadata and is in all what the call asks for counts.

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
pub struct Found {
    pub(super) id: String,
    pub(super) created: DateTime<Utc>,
    pub(super) state: State,
}

/// What has become of it; of several that look alike the first of these is the call's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// It has come to its end.
    Done,
    /// It is under way.
    UnderWay,
    /// It waits for somebody to begin.
    Waiting,
    /// It has failed, or was taken back: it has moved nothing in the end.
    Undone,
}

impl Found {
    fn new(id: &str, created: DateTime<Utc>, state: State) -> Self {
        let id = id.to_owned();
        Self { id, created, state }
    }

    /// Whether a call first sent then may have made it: Stripe tells whole seconds, by a clock of its own.
    pub(super) fn may_be_of(&self, first_sent: DateTime<Utc>) -> bool {
        self.created.signed_duration_since(first_sent) > -CLOCKS_DIFFER
    }
}

type Answer = Result<Vec<Found>, StripeError>;

/// Customers cannot be looked up by who they are for. One made twice moves no money, and the first recorded counts.
pub(super) async fn customer(_: &CreateCustomer, _: &StripeClient, _: DateTime<Utc>) -> Answer {
    Ok(Vec::new())
}

/// Nor can accounts: one made twice stays empty, since no wallet names it.
pub(super) async fn account(_: &CreateAccount, _: &StripeClient, _: DateTime<Utc>) -> Answer {
    Ok(Vec::new())
}

/// Among the intents of the customer.
pub(super) async fn payment_intent(
    call: &CreatePaymentIntent,
    client: &StripeClient,
    since: DateTime<Utc>,
) -> Answer {
    let listed = client.list_payment_intents(&call.customer, since).await?;
    let ours = listed.iter().filter(|intent| {
        intent.metadata.transaction_id == Some(call.tags.transaction_id) && intent.amount == call.amount
    });
    Ok(ours
        .map(|intent| {
            let state = match intent.status {
                PaymentIntentStatus::Succeeded => State::Done,
                PaymentIntentStatus::Canceled => State::Undone,
                PaymentIntentStatus::RequiresPaymentMethod
                | PaymentIntentStatus::RequiresConfirmation
                | PaymentIntentStatus::RequiresAction => State::Waiting,
                PaymentIntentStatus::Processing
                | PaymentIntentStatus::RequiresCapture
                | PaymentIntentStatus::Unknown(_) => State::UnderWay,
            };
            Found::new(intent.id.as_str(), intent.created, state)
        })
        .collect())
}

/// Among the transfers of the withdrawal's group.
pub(super) async fn transfer(call: &CreateTransfer, client: &StripeClient, _: DateTime<Utc>) -> Answer {
    let transaction = call.tags.transaction_id;
    let mut found = Vec::new();
    for transfer in client.list_transfers(transaction).await? {
        let is_ours = transfer.metadata.transaction_id == Some(transaction)
            && transfer.amount == call.amount
            && transfer.destination.as_ref() == Some(&call.destination);
        if is_ours {
            let state = if client.is_taken_back(&transfer).await? {
                State::Undone
            } else {
                State::Done
            };
            found.push(Found::new(transfer.id.as_str(), transfer.created, state));
        }
    }
    Ok(found)
}

/// Among the payouts of the account.
pub(super) async fn payout(call: &CreatePayout, client: &StripeClient, since: DateTime<Utc>) -> Answer {
    let listed = client.list_payouts(&call.account, since - CLOCKS_DIFFER).await?;
    let ours = listed.iter().filter(|payout| {
        payout.metadata.transaction_id == Some(call.tags.transaction_id)
            && payout.is_what_was_asked_for(call.amount, call.destination.as_ref())
    });
    Ok(ours
        .map(|payout| {
            let state = match payout.status {
                PayoutStatus::Paid => State::Done,
                PayoutStatus::Failed | PayoutStatus::Canceled => State::Undone,
                PayoutStatus::Pending | PayoutStatus::InTransit | PayoutStatus::Unknown(_) => State::UnderWay,
            };
            Found::new(payout.id.as_str(), payout.created, state)
        })
        .collect())
}

/// Among the refunds of the payment.
pub(super) async fn refund(call: &CreateRefund, client: &StripeClient, _: DateTime<Utc>) -> Answer {
    let listed = client.list_refunds(&call.payment_intent).await?;
    let ours = listed.iter().filter(|refund| {
        refund.metadata.transaction_id == Some(call.tags.transaction_id) && refund.amount == call.amount
    });
    Ok(ours
        .map(|refund| {
            let state = match refund.status {
                RefundStatus::Succeeded => State::Done,
                RefundStatus::Failed | RefundStatus::Canceled => State::Undone,
                RefundStatus::Pending | RefundStatus::RequiresAction | RefundStatus::Unknown(_) => {
                    State::UnderWay
                }
            };
            Found::new(refund.id.as_str(), refund.created, state)
        })
        .collect())
}

/// Among the reversals of the transfer, without those that have taken nothing and never will.
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
                ReversalStatus::Succeeded => State::Done,
                _ => State::UnderWay,
            };
            Found::new(reversal.id.as_str(), reversal.created, state)
        })
        .collect())
}
