//! From a command to what will be written: the entrance to the flows.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    Command, Context, Contradiction, Event, FailureReason, Next, debt_payment, deposit, dispute,
    dispute_turn, edges, next, payment_refund, refund, returned, transfer, withdrawal,
};
use crate::alarms::AlarmKind;
use crate::ids::WalletId;
use crate::ids::stripe::{PaymentIntentId, PayoutId, RefundId, StripeTransferId};
use crate::jobs::JobKind;
use crate::ledger::Leg;
use crate::money::Money;
use crate::transactions::{Canceller, ExternalRef, Flow, Stage, TimelineKind, Transaction};

/// What a flow makes of a command: a decision, nothing because it has happened before, or why it cannot be.
pub type Decided = Result<Option<Decision>, Contradiction>;

/// Columns that change with the stage; `None` leaves them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// `stripe_payment_intent_id`
    pub payment_intent: Option<PaymentIntentId>,
    /// `encrypted_client_secret`
    pub sealed_client_secret: Option<String>,
    /// `stripe_transfer_id`
    pub transfer: Option<StripeTransferId>,
    /// `stripe_payout_id`
    pub payout: Option<PayoutId>,
    /// `stripe_refund_id`
    pub refund: Option<RefundId>,
    /// `failure_reason`
    pub failure_reason: Option<FailureReason>,
    /// `fee`
    pub fee: Option<Money>,
    /// `held_amount`
    pub held: Option<Money>,
    /// `claimed_amount`
    pub claimed: Option<Money>,
    /// `amount`: what was credited instead of what was asked for, which becomes `requested_amount`.
    pub credited: Option<Money>,
    /// `available_on`
    pub available_on: Option<DateTime<Utc>>,
}

/// What will be written, all of it in one database transaction.
#[derive(Debug, Clone, Default)]
pub struct Decision {
    /// The stage after; `None` when only the timeline grows.
    pub to: Option<Stage>,
    /// The posting; empty when no money moves.
    pub legs: Vec<Leg>,
    /// What a wallet's owner owes the platform from now on, or no longer when negative.
    pub owes: Option<(WalletId, Money)>,
    /// Columns.
    pub changes: Changes,
    /// Lines of the timeline: kind, words, detail.
    pub timeline: Vec<(TimelineKind, String, Option<Value>)>,
    /// Jobs to queue, in the same database transaction.
    pub follow_ups: Vec<JobKind>,
    /// Stripe objects that from now on lead to this transaction.
    pub refs: Vec<ExternalRef>,
    /// What a person has to look at: kind, message.
    pub alarms: Vec<(AlarmKind, String)>,
    /// Kinds of alarms about the transaction that nobody has to look at any more.
    pub closes: Vec<AlarmKind>,
    /// Whether money leaves suspense: once nothing of the transaction lies there, nobody has to look at it any more.
    pub leaves_suspense: bool,
}

impl Decision {
    /// Whether anything of the transaction's own row changes.
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
        // A leg of nothing is none.
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

    /// The end without effect, for this reason.
    pub(super) fn failed(reason: &FailureReason) -> Self {
        Self::to(Stage::Failed).because(reason).says_with(
            TimelineKind::Failed,
            reason.sentence.clone(),
            json!({ "code": reason.code.as_str() }),
        )
    }
}

/// What `command` means for `transaction`, given what is locked with it. Pure.
///
/// # Errors
/// When it cannot follow what has happened, or is another flow's.
pub fn decide(transaction: &Transaction, context: Context<'_>, command: &Command) -> Decided {
    if let Command::Note {
        kind,
        message,
        detail,
        at,
        once,
    } = command
    {
        if transaction.stage != *at || context.booked {
            return Ok(None);
        }
        let mut decision = Decision::default();
        decision.refs.extend(once.clone());
        decision.timeline.push((*kind, message.clone(), detail.clone()));
        return Ok(Some(decision));
    }
    match transaction.flow {
        Flow::Transfer | Flow::Payment => transfer::decide(transaction, context, command),
        Flow::Deposit => deposit::decide(transaction, context, command),
        Flow::Withdrawal => withdrawal::decide(transaction, context, command),
        Flow::PaymentRefund => payment_refund::decide(transaction, context, command),
        Flow::DepositRefund | Flow::OutsideRefund => refund::decide(transaction, context, command),
        Flow::RefundReturn | Flow::PayoutReturn => returned::decide(transaction, context, command),
        Flow::Dispute => dispute::decide(transaction, context, command),
        Flow::DisputeReturn | Flow::DisputeLoss => dispute_turn::decide(transaction, context, command),
        Flow::DebtPayment => debt_payment::decide(transaction, command),
    }
}

/// Takes the edge of `event`: `Ok(Some(stage))` to go on with, or what [`Decided`] says instead.
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

/// [`step`] of what is asked for, not told: what has ended has been answered.
pub(super) fn answer(transaction: &Transaction, event: Event) -> Result<Option<Stage>, Contradiction> {
    if transaction.stage.status().is_final() {
        return Ok(None);
    }
    step(transaction, event)
}

/// [`step`] of an event that brings an object of Stripe: only of the recorded one is it true that it has happened before.
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

/// Another object of Stripe than the recorded one is never the transaction's, whatever its metadata says.
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

/// A command that does not belong to the flow.
pub(super) fn foreign(command: &Command) -> Decided {
    Err(Contradiction::WrongFlow(command.event()))
}

/// Taking back what has not become irreversible; too late is told in the timeline and changes nothing.
pub(super) fn cancel(transaction: &Transaction, context: Context<'_>, by: Canceller) -> Decided {
    let next = next(edges(transaction.flow), transaction.stage, Event::Cancelled);
    if next == Next::Already {
        return Ok(None);
    }
    if next == Next::Contradiction {
        let late = "it was too late to cancel it";
        return Ok(Some(Decision::default().says(TimelineKind::Waiting, late)));
    }
    if context.money_sent {
        let perhaps = "the money may have been sent already: it is cancelled only if that comes to nothing";
        return Ok(Some(Decision::default().says(TimelineKind::Waiting, perhaps)));
    }
    // A deposit takes in: what it is cancelled before is its payment, whether there was an intent yet or not.
    let before = if transaction.flow == Flow::Deposit {
        "it was paid"
    } else {
        "any money had left"
    };
    let reason = FailureReason::cancelled(by, before);
    Ok(step(transaction, Event::Cancelled)?.map(|stage| {
        Decision::to(stage)
            .because(&reason)
            .says(TimelineKind::Cancelled, reason.sentence.clone())
    }))
}
