//! A payout: the money of a withdrawal on its way to the bank. It may fail days after it was paid.

use wallet_core::accept::Found;
use wallet_core::flows::{Command, FailureCode, FailureReason, Flow, Stage};
use wallet_core::stripe::{AccountId, Payout, PayoutId, PayoutStatus};
use wallet_core::transactions::{Transaction, external_ref};

use super::Look;
use crate::outcome::JobError;
use crate::worker::EventEnd;

/// Looks at a payout of a connected account and settles what its state asks for.
pub(crate) async fn payout(look: &Look<'_>, account: &AccountId, id: &PayoutId) -> Result<(), JobError> {
    let gateway = look.worker.calls.gateway();
    let payout = look.ask(gateway.retrieve_payout(account, id)).await?;
    let found = look
        .owner(external_ref::PAYOUT, id.as_str(), Some(payout.metadata))
        .await?;
    // A payout of another account than the withdrawal went to is not its own, whatever its metadata says.
    let ours = |found: &Transaction| {
        found.flow == Flow::Withdrawal && found.stripe_account_id.as_deref() == Some(account.as_str())
    };
    let Some(transaction) = found.filter(ours) else {
        let note = "the payout is of no withdrawal of ours";
        return look.close(EventEnd::Ignored, note).await;
    };
    let is_recorded = transaction.stripe_payout_id.as_deref() == Some(id.as_str());
    let has_failed = matches!(payout.status, PayoutStatus::Failed | PayoutStatus::Canceled);
    if transaction.stage == Stage::Completed && is_recorded && has_failed {
        return returned(look, &transaction, &payout).await;
    }
    let command = command_of(&payout).or_else(|| {
        let told = payout.status == PayoutStatus::InTransit && transaction.stage != Stage::Completed;
        told.then(|| look.note(&transaction, "the payout is on its way to your bank"))
            .flatten()
    });
    look.settle(&transaction, command.into_iter().collect()).await
}

/// The withdrawal is completed and stays so: a transaction of its own brings the money back.
async fn returned(look: &Look<'_>, withdrawal: &Transaction, payout: &Payout) -> Result<(), JobError> {
    // By the payout, as the movement may be named later (https://docs.stripe.com/api/payouts/object#payout_object-failure_balance_transaction).
    let movement = payout.failure_balance_transaction.as_ref();
    look.open(&Found {
        flow: Flow::PayoutReturn,
        original: withdrawal,
        reference: (external_ref::RETURN, payout.id.as_str()),
        also: movement.map(|movement| movement.as_str()),
        amount: withdrawal.amount,
        words: format!("your bank returned the payout: {}", sentence(payout)),
    })
    .await?;
    look.close(EventEnd::Passed, "the payout came back after it was paid")
        .await
}

/// What a payout's state at Stripe asks for; none while it is under way.
fn command_of(payout: &Payout) -> Option<Command> {
    let id = payout.id.as_str().to_owned();
    match payout.status {
        PayoutStatus::Paid => Some(Command::SettlePayout { payout: id }),
        PayoutStatus::Failed | PayoutStatus::Canceled => Some(Command::FailPayout {
            payout: Some(id),
            reason: FailureReason::new(FailureCode::PayoutFailed, sentence(payout)),
        }),
        PayoutStatus::Pending | PayoutStatus::InTransit | PayoutStatus::Unknown(_) => None,
    }
}

fn sentence(payout: &Payout) -> String {
    payout
        .failure_message
        .clone()
        .unwrap_or_else(|| match payout.status {
            PayoutStatus::Canceled => "the payout was cancelled".to_owned(),
            _ => format!(
                "the payout failed ({})",
                payout.failure_code.as_deref().unwrap_or("no reason given")
            ),
        })
}
