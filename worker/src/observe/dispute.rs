//! A dispute of a deposit. The state comes from its status, the money from its balance transactions; the event's name says neither.

use wallet_core::accept::Found;
use wallet_core::flows::{BalanceEntry, Command, Flow, Stage};
use wallet_core::money::Money;
use wallet_core::stripe::{BalanceTransaction, Dispute, DisputeId, DisputeStatus};
use wallet_core::transactions::{Transaction, external_ref};

use super::Look;
use crate::outcome::JobError;
use crate::worker::EventEnd;

/// Looks at a dispute and settles what its state and its movements ask for.
pub(crate) async fn dispute(look: &Look<'_>, id: &DisputeId) -> Result<(), JobError> {
    let gateway = look.worker.calls.gateway();
    let dispute = look.ask(gateway.retrieve_dispute(id)).await?;
    let transaction = match look.owner(external_ref::DISPUTE, id.as_str(), None).await? {
        Some(known) => known,
        None => match opened(look, &dispute).await? {
            Some(opened) => opened,
            None => return Ok(()),
        },
    };
    let mut commands: Vec<Command> = dispute.balance_transactions.iter().map(booking).collect();
    commands.extend(command_of(&dispute));
    look.settle(&transaction, commands).await
}

/// The transaction of a dispute that is told of for the first time; none when the look has ended without.
async fn opened(look: &Look<'_>, dispute: &Dispute) -> Result<Option<Transaction>, JobError> {
    let deposit = match &dispute.payment_intent {
        Some(intent) => {
            look.owner(external_ref::PAYMENT_INTENT, intent.as_str(), None)
                .await?
        }
        None => None,
    };
    let Some(deposit) = deposit.filter(|found| found.flow == Flow::Deposit) else {
        let note = "the dispute is of no deposit of ours";
        look.close(EventEnd::Ignored, note).await?;
        return Ok(None);
    };
    match deposit.stage {
        Stage::Completed if dispute.amount.currency() == deposit.amount.currency() => {}
        Stage::Accepted | Stage::AwaitingPayment => {
            return Err(JobError::AfterAnother(
                "the payment that is disputed is not booked yet",
            ));
        }
        _ => {
            look.needs_a_person("a dispute of a deposit that holds nothing of this currency")
                .await?;
            return Ok(None);
        }
    }
    let found = Found {
        flow: Flow::Dispute,
        original: &deposit,
        reference: (external_ref::DISPUTE, dispute.id.as_str()),
        amount: dispute.amount,
        words: format!("the payer's bank asks about {} of the deposit", dispute.amount),
    };
    Ok(Some(look.open(&found).await?))
}

fn booking(movement: &BalanceTransaction) -> Command {
    Command::BookDispute(BalanceEntry {
        id: movement.id.as_str().to_owned(),
        amount: movement.amount,
        fee: movement.fee,
        available_on: movement.available_on,
    })
}

/// What the dispute's status asks for; nothing of an inquiry that is open, nor of a status of tomorrow.
fn command_of(dispute: &Dispute) -> Option<Command> {
    let won = |message: &str| {
        Some(Command::WinDispute {
            message: message.to_owned(),
        })
    };
    match dispute.status {
        DisputeStatus::NeedsResponse | DisputeStatus::UnderReview => Some(Command::OpenDispute),
        DisputeStatus::Won => won("the bank has decided for you: the money is yours again"),
        DisputeStatus::WarningClosed => won("the bank has closed its inquiry: nothing was taken"),
        DisputeStatus::Prevented => won("the dispute was settled before it began"),
        DisputeStatus::Lost => Some(Command::LoseDispute {
            taken: taken(dispute),
        }),
        DisputeStatus::WarningNeedsResponse
        | DisputeStatus::WarningUnderReview
        | DisputeStatus::Unknown(_) => None,
    }
}

/// What Stripe took for the dispute, fees apart; none when it tells of no movement, or of some in another currency.
fn taken(dispute: &Dispute) -> Option<Money> {
    let (first, rest) = dispute.balance_transactions.split_first()?;
    let sum = rest
        .iter()
        .try_fold(first.amount, |sum, movement| sum.checked_add(movement.amount))
        .ok()?;
    (sum.currency() == dispute.amount.currency() && !sum.is_positive()).then(|| sum.negated())
}
