//! Ends a withdrawal whose payout Stripe no longer shows to us, as an operator has decided. Should Stripe show it by now, its state decides.

use wallet_core::flows::{Command, FailureCode, FailureReason, Stage};
use wallet_core::jobs::ClaimedJob;
use wallet_core::payees;
use wallet_core::stripe::{CallError, Lane, PayoutId};
use wallet_core::transactions::TimelineKind;

use super::step;
use super::withdrawal_transfer::account_of;
use crate::observe::{self, Look};
use crate::outcome::JobError;
use crate::worker::Worker;

/// What an operator has found out about a payout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decided {
    /// The bank has the money.
    Paid,
    /// It came back, or was never sent: the money is taken back from the account, or has been.
    TakenBack,
}

impl Decided {
    const fn words(self) -> &'static str {
        match self {
            Self::Paid => "support has found out that the payout was paid",
            Self::TakenBack => "support has found out that the payout was not paid",
        }
    }

    fn command(self, payout: &PayoutId) -> Command {
        let payout = payout.as_str().to_owned();
        match self {
            Self::Paid => Command::SettlePayout { payout },
            Self::TakenBack => Command::FailPayout {
                payout: Some(payout),
                reason: FailureReason::new(
                    FailureCode::PayoutFailed,
                    "the payout was not paid; the money is taken back from your payout account",
                ),
            },
        }
    }
}

pub(super) async fn run(worker: &Worker, job: &ClaimedJob, decided: Decided) -> Result<(), JobError> {
    let transaction = worker.transaction(job).await?;
    if transaction.stage != Stage::PayingOut {
        return worker.finish(job).await;
    }
    let account = account_of(&transaction)?;
    let payout: PayoutId = transaction
        .stripe_payout_id
        .as_deref()
        .and_then(|id| id.parse().ok())
        .ok_or_else(|| JobError::Park("the withdrawal names no payout".to_owned()))?;
    let question = worker.calls.gateway().retrieve_payout(&account, &payout);
    match worker.calls.ask(Lane::Maintenance, question).await {
        Ok(_) => return observe::payout(&Look::unasked(worker, job), &account, &payout).await,
        Err(CallError::Gateway(error)) if payees::is_gone(&error) => {}
        Err(error) => return Err(error.into()),
    }
    let note = Command::Note {
        kind: TimelineKind::NeedsReview,
        message: decided.words().to_owned(),
        detail: None,
        at: Stage::PayingOut,
    };
    let steps = [
        step(job, &transaction, note).before_others(),
        step(job, &transaction, decided.command(&payout)),
    ];
    worker.settle_locked(&transaction.wallets(), &steps).await?;
    Ok(())
}
