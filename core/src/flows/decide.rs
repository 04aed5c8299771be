//! From a command to what will be written: the entrance to the flows.

use serde_json::{Value, json};

use super::{Command, Event, FailureReason, Next, Stage, deposit, edges, next, transfer, withdrawal};
use crate::jobs::JobKind;
use crate::ledger::{Books, Leg};
use crate::transactions::{TimelineKind, Transaction, TransactionType};

/// What a command means for a transaction at its stage.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// Write this.
    Apply(Box<Decision>),
    /// It has happened before.
    Already,
    /// It cannot follow what has happened: nothing is written, somebody has to look.
    Contradiction(String),
}

/// A job that the decision calls for, queued in the same database transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowUp(pub JobKind);

/// Columns that change with the stage; `None` leaves them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// `stripe_payment_intent_id`
    pub payment_intent: Option<String>,
    /// `encrypted_client_secret`
    pub sealed_client_secret: Option<String>,
    /// `stripe_transfer_id`
    pub transfer: Option<String>,
    /// `stripe_payout_id`
    pub payout: Option<String>,
    /// `failure_reason`
    pub failure_reason: Option<String>,
}

/// What will be written, all of it in one database transaction.
#[derive(Debug, Clone, Default)]
pub struct Decision {
    /// The stage after; `None` when only the timeline grows.
    pub to: Option<Stage>,
    /// The posting; empty when no money moves.
    pub legs: Vec<Leg>,
    /// Columns.
    pub changes: Changes,
    /// Lines of the timeline: kind, words, detail.
    pub timeline: Vec<(TimelineKind, String, Option<Value>)>,
    /// Jobs to queue.
    pub follow_ups: Vec<FollowUp>,
    /// Stripe objects that from now on lead to this transaction: kind, id.
    pub refs: Vec<(&'static str, String)>,
    /// What a person has to look at: kind, message.
    pub alarms: Vec<(&'static str, String)>,
}

impl Decision {
    pub(super) fn to(stage: Stage) -> Self {
        Self {
            to: Some(stage),
            ..Self::default()
        }
    }

    pub(super) fn legs(mut self, legs: impl IntoIterator<Item = Leg>) -> Self {
        self.legs.extend(legs);
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
        self.follow_ups.push(FollowUp(job));
        self
    }

    pub(super) fn refers(mut self, kind: &'static str, id: &str) -> Self {
        self.refs.push((kind, id.to_owned()));
        self
    }

    pub(super) fn changes(mut self, changes: Changes) -> Self {
        self.changes = changes;
        self
    }

    /// The end without effect, for this reason.
    pub(super) fn failed(reason: &FailureReason) -> Self {
        let changes = Changes {
            failure_reason: Some(reason.to_string()),
            ..Changes::default()
        };
        Self::to(Stage::Failed).changes(changes).says_with(
            TimelineKind::Failed,
            reason.sentence.clone(),
            json!({ "code": reason.code.as_str() }),
        )
    }
}

/// What `command` means for `transaction`, given the balances of its locked wallets. Pure.
#[must_use]
pub fn decide(transaction: &Transaction, books: &Books, command: &Command) -> Verdict {
    if let Command::Note {
        kind,
        message,
        detail,
    } = command
    {
        let mut decision = Decision::default();
        decision.timeline.push((*kind, message.clone(), detail.clone()));
        return Verdict::Apply(Box::new(decision));
    }
    let decided = match transaction.transaction_type {
        TransactionType::Transfer => transfer::decide(transaction, books, command),
        TransactionType::Deposit => deposit::decide(transaction, books, command),
        TransactionType::Withdrawal => withdrawal::decide(transaction, books, command),
        // Not accepted by this version; one accepted by a newer version waits for its worker.
        TransactionType::Payment | TransactionType::Refund => {
            Err("this version does not know the flow".to_owned())
        }
    };
    match decided {
        Ok(Some(decision)) => Verdict::Apply(Box::new(decision)),
        Ok(None) => Verdict::Already,
        Err(contradiction) => Verdict::Contradiction(contradiction),
    }
}

/// What a flow makes of a command: a decision, nothing because it has happened, or words for the contradiction.
pub(super) type Decided = Result<Option<Decision>, String>;

/// Takes the edge of `event`: `Ok(Some(stage))` to go on with, or what [`Decided`] says instead.
pub(super) fn step(transaction: &Transaction, event: Event) -> Result<Option<Stage>, String> {
    match next(edges(transaction.transaction_type), transaction.stage, event) {
        Next::To(stage) => Ok(Some(stage)),
        Next::Already => Ok(None),
        Next::Contradiction => Err(format!("{event:?} cannot follow {}", transaction.stage.as_str())),
    }
}

/// A command that does not belong to the flow.
pub(super) fn foreign(command: &Command) -> Decided {
    Err(format!("the flow does not know {:?}", command.event()))
}
