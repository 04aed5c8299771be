//! The entry point of the flows: it turns a command into what will be written.

use serde_json::{Value, json};

use super::{
    Command, Context, Contradiction, Event, Next, debt_payment, deposit, dispute, dispute_turn, edges, next,
    payment_refund, refund, returned, suspense_return, transfer, undo, withdrawal,
};
use crate::alarms::AlarmKind;
use crate::ids::WalletId;
use crate::jobs::JobKind;
use crate::ledger::Leg;
use crate::money::Money;
use crate::transactions::{Changes, ExternalRef, FailureReason, Flow, Stage, TimelineKind, Transaction};

/// A flow's answer to a command: a decision, `None` if it was carried out before, or why it is impossible.
pub type Decided = Result<Option<Decision>, Contradiction>;

/// What will be written, all of it in one database transaction.
#[derive(Debug, Clone, Default)]
pub struct Decision {
    /// The new stage; `None` if the stage stays.
    pub to: Option<Stage>,
    /// The posting; empty if no money moves.
    pub legs: Vec<Leg>,
    /// By how much the debt of a wallet's owner to the platform grows; it shrinks if this is negative.
    pub owes: Option<(WalletId, Money)>,
    /// The columns of the transaction that change.
    pub changes: Changes,
    /// Lines of the timeline: kind, words, detail.
    pub timeline: Vec<(TimelineKind, String, Option<Value>)>,
    /// Jobs to queue, in the same database transaction.
    pub follow_ups: Vec<JobKind>,
    /// Stripe objects that lead to this transaction from now on.
    pub refs: Vec<ExternalRef>,
    /// Alarms to raise: kind, message.
    pub alarms: Vec<(AlarmKind, String)>,
    /// Kinds of alarms about the transaction that are to be closed.
    pub closes: Vec<AlarmKind>,
    /// Whether money leaves suspense: once nothing of the transaction lies there, its alarms about suspense are closed.
    pub leaves_suspense: bool,
}

impl Decision {
    /// Whether the transaction's own row changes.
    #[must_use]
    pub fn changes_row(&self) -> bool {
        self.to.is_some() || self.changes != Changes::default()
    }

    pub(super) fn to(stage: Stage) -> Self {
        Self {
            to: Some(stage),
            ..Self::default()
        }
    }

    pub(super) fn legs(mut self, legs: impl IntoIterator<Item = Leg>) -> Self {
        // A leg of zero is left out.
        self.legs
            .extend(legs.into_iter().filter(|leg| !leg.amount.is_zero()));
        self
    }

    pub(super) fn says(mut self, kind: TimelineKind, message: impl Into<String>) -> Self {
        self.timeline.push((kind, message.into(), None));
        self
    }

    pub(super) fn says_with(mut self, kind: TimelineKind, message: impl Into<String>, detail: Value) -> Self {
        self.timeline.push((kind, message.into(), Some(detail)));
        self
    }

    pub(super) fn then(mut self, job: JobKind) -> Self {
        self.follow_ups.push(job);
        self
    }

    pub(super) fn owes(mut self, wallet: WalletId, amount: Money) -> Self {
        self.owes = Some((wallet, amount));
        self
    }

    pub(super) fn alarms(mut self, kind: AlarmKind, message: impl Into<String>) -> Self {
        self.alarms.push((kind, message.into()));
        self
    }

    pub(super) fn closes(mut self, kind: AlarmKind) -> Self {
        self.closes.push(kind);
        self
    }

    pub(super) fn leaves_suspense(mut self) -> Self {
        self.leaves_suspense = true;
        self
    }

    pub(super) fn refers(mut self, object: ExternalRef) -> Self {
        self.refs.push(object);
        self
    }

    pub(super) fn sets(mut self, set: impl FnOnce(&mut Changes)) -> Self {
        set(&mut self.changes);
        self
    }

    pub(super) fn because(self, reason: &FailureReason) -> Self {
        self.sets(|changes| changes.failure_reason = Some(reason.clone()))
    }

    /// The decision that the transaction failed, for this reason.
    pub(super) fn failed(reason: &FailureReason) -> Self {
        Self::to(Stage::Failed).because(reason).says_with(
            TimelineKind::Failed,
            reason.sentence.clone(),
            json!({ "code": reason.code.as_str() }),
        )
    }
}

/// Decides what `command` means for `transaction`, given what is locked with it. Pure.
///
/// # Errors
/// If the command cannot follow what has happened, or belongs to another flow. The flow is read from the transaction's row, so no type can
/// rule that out: it is checked here and nowhere else.
pub fn decide(transaction: &Transaction, context: Context<'_>, command: &Command) -> Decided {
    match (transaction.flow, command) {
        (
            _,
            Command::Note {
                kind,
                message,
                detail,
                at,
                once,
            },
        ) => {
            if transaction.stage != *at || context.booked {
                return Ok(None);
            }
            let mut decision = Decision::default();
            decision.refs.extend(once.clone());
            decision.timeline.push((*kind, message.clone(), detail.clone()));
            Ok(Some(decision))
        }
        (Flow::Deposit, Command::Deposit(told)) => deposit::decide(transaction, context, told),
        (Flow::Deposit, Command::SuspenseReturn(told)) => suspense_return::decide(transaction, context, told),
        (Flow::Deposit, Command::BookDispute(entry)) => deposit::book_dispute(transaction, context, entry),
        (Flow::Deposit, Command::Cancel(by)) => deposit::cancel(transaction, context, *by),
        (Flow::Deposit, Command::Refuse(reason)) => deposit::refuse(transaction, reason),
        (Flow::Transfer | Flow::Payment, Command::Execute) => transfer::execute(transaction, context),
        (Flow::PaymentRefund, Command::Execute) => payment_refund::execute(transaction, context),
        (Flow::Withdrawal, Command::Withdrawal(told)) => withdrawal::decide(transaction, context, told),
        (Flow::Withdrawal, Command::RecordReversal(reversal, taken)) => {
            withdrawal::reversed(transaction, context, reversal, *taken)
        }
        (Flow::Withdrawal, Command::Hold) => withdrawal::hold(transaction, context),
        (Flow::DepositRefund, Command::Hold) => refund::hold(transaction, context),
        (Flow::DepositRefund | Flow::OutsideRefund, Command::Refund(told)) => {
            refund::decide(transaction, context, told)
        }
        (Flow::RefundReturn, Command::Execute) => returned::execute(transaction),
        (Flow::PayoutReturn, Command::BeginPayoutReturn(reason)) => returned::begin(transaction, reason),
        (Flow::PayoutReturn, Command::RecordReversal(reversal, taken)) => {
            returned::reversed(transaction, context, reversal, *taken)
        }
        (Flow::Dispute, Command::Dispute(told)) => dispute::decide(transaction, context, told),
        (Flow::Dispute, Command::BookDispute(entry)) => Ok(dispute::book(transaction, context, entry)),
        (Flow::DisputeReturn | Flow::DisputeLoss, Command::BookDispute(entry)) => {
            dispute_turn::book(transaction, context, entry)
        }
        (Flow::DebtPayment, Command::Execute) => debt_payment::execute(transaction),
        (
            Flow::Transfer | Flow::Payment | Flow::PaymentRefund | Flow::Withdrawal | Flow::DepositRefund,
            Command::Cancel(by),
        ) => undo::cancel(transaction, context, *by),
        (
            Flow::Transfer | Flow::Payment | Flow::PaymentRefund | Flow::Withdrawal | Flow::DepositRefund,
            Command::Refuse(reason),
        ) => undo::refuse(transaction, reason),
        (Flow::Deposit | Flow::DepositRefund | Flow::OutsideRefund, Command::BookFee(entry)) => {
            Ok((!context.booked).then(|| deposit::fee(entry)))
        }
        (Flow::Deposit | Flow::Dispute, Command::CloseSuspense(amount)) => {
            suspense_return::close(transaction, context, *amount)
        }
        (_, other) => Err(Contradiction::WrongFlow(other.event())),
    }
}

/// Takes the edge of `event`: returns its stage, `None` if the event has happened before, or a contradiction.
pub(super) fn step(transaction: &Transaction, event: Event) -> Result<Option<Stage>, Contradiction> {
    match next(edges(transaction.flow), transaction.stage, event) {
        Next::To(stage) => Ok(Some(stage)),
        Next::Already => Ok(None),
        Next::Contradiction => {
            let stage = transaction.stage;
            Err(Contradiction::CannotFollow { event, stage })
        }
    }
}

/// [`step`] for an event that is requested, not reported: for a transaction that has ended it returns `None`.
pub(super) fn answer(transaction: &Transaction, event: Event) -> Result<Option<Stage>, Contradiction> {
    if transaction.stage.status().is_final() {
        return Ok(None);
    }
    step(transaction, event)
}

/// [`step`] for an event that brings a Stripe object: it has happened before only if the recorded object is the same.
pub(super) fn step_with<Id: PartialEq + std::fmt::Display>(
    transaction: &Transaction,
    event: Event,
    recorded: Option<&Id>,
    object: &Id,
) -> Result<Option<Stage>, Contradiction> {
    let stage = step(transaction, event)?;
    if stage.is_none() && recorded != Some(object) {
        return Err(Contradiction::ByAnother {
            told: object.to_string(),
            stage: transaction.stage,
            recorded: recorded.map(ToString::to_string),
        });
    }
    Ok(stage)
}

/// Refuses a Stripe object other than the recorded one: it is never the transaction's, whatever its metadata says.
pub(super) fn check_object<Id: PartialEq + std::fmt::Display>(
    what: &'static str,
    recorded: Option<&Id>,
    told: &Id,
) -> Result<(), Contradiction> {
    match recorded {
        Some(recorded) if recorded != told => Err(Contradiction::AnotherObject {
            what,
            told: told.to_string(),
            recorded: recorded.to_string(),
        }),
        _ => Ok(()),
    }
}
