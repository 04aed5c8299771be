//! Deciding a batch in memory: each step sees what the steps before it did.

use std::collections::{BTreeSet, HashMap};

use super::lock::Locked;
use super::{Outcome, Settled, Step};
use crate::flows::{Command, Decision, FailureCode, FailureReason, Stage, Verdict, decide};
use crate::ids::{TransactionId, WalletId};
use crate::jobs::{Claim, NewJob, QueueName};
use crate::ledger::{Books, Leg, PostingError};
use crate::money::MoneyError;
use crate::transactions::Transaction;

/// A decision to write.
pub(super) struct Planned {
    pub(super) transaction: TransactionId,
    pub(super) wallets: Vec<WalletId>,
    /// The stage it had before; the write is conditional on it.
    pub(super) from: Stage,
    pub(super) decision: Decision,
}

/// Everything that one batch writes.
pub(super) struct Plan {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) books: Books,
    pub(super) planned: Vec<Planned>,
    pub(super) finished: Vec<Claim>,
    pub(super) processed_events: Vec<String>,
    /// Kind, subject, message.
    pub(super) alarms: Vec<(&'static str, String, String)>,
}

impl Plan {
    pub(super) fn postings(&self) -> Vec<(TransactionId, Vec<Leg>)> {
        self.planned
            .iter()
            .map(|planned| (planned.transaction, planned.decision.legs.clone()))
            .collect()
    }

    pub(super) fn follow_ups(&self, now: chrono::DateTime<chrono::Utc>) -> Vec<NewJob> {
        self.planned
            .iter()
            .flat_map(|planned| {
                planned.decision.follow_ups.iter().map(move |next| {
                    NewJob::for_transaction(next.0, planned.transaction, planned.wallets.clone(), now)
                })
            })
            .collect()
    }

    pub(super) fn into_settled(self) -> Settled {
        let queues: BTreeSet<QueueName> = self
            .planned
            .iter()
            .flat_map(|planned| planned.decision.follow_ups.iter().map(|next| next.0.queue()))
            .collect();
        Settled {
            outcomes: self.outcomes,
            queues: queues.into_iter().collect(),
        }
    }
}

pub(super) fn plan(locked: Locked, steps: &[Step]) -> Plan {
    let Locked {
        fences,
        books,
        mut transactions,
    } = locked;
    let mut plan = Plan {
        outcomes: Vec::with_capacity(steps.len()),
        books,
        planned: Vec::new(),
        finished: Vec::new(),
        processed_events: Vec::new(),
        alarms: Vec::new(),
    };
    for step in steps {
        if step
            .claim
            .is_some_and(|claim| fences.get(&claim.job) != Some(&claim.fence))
        {
            plan.outcomes.push(Outcome::StaleFence);
            continue;
        }
        let outcome = plan_one(&mut plan, &mut transactions, step);
        plan.outcomes.push(outcome);
        plan.finished.extend(step.claim);
        plan.processed_events.extend(step.stripe_event.clone());
    }
    plan
}

fn plan_one(plan: &mut Plan, transactions: &mut HashMap<TransactionId, Transaction>, step: &Step) -> Outcome {
    let Some(transaction) = transactions.get_mut(&step.transaction) else {
        let message = "a step for a transaction that does not exist".to_owned();
        plan.alarms
            .push(("unknown_transaction", step.transaction.to_string(), message));
        return Outcome::UnknownTransaction;
    };
    let mut decision = match decide(transaction, &plan.books, &step.command) {
        Verdict::Apply(decision) => *decision,
        Verdict::Already => return Outcome::AlreadyApplied,
        Verdict::Contradiction(message) => return contradiction(plan, step, message),
    };
    if let Err(error) = plan.books.book(&decision.legs) {
        // The money itself stands in the way: the flow's own refusal, if at this stage it has one.
        let refused = refusal(&step.command, error)
            .map(|reason| decide(transaction, &plan.books, &Command::Refuse(reason)));
        match refused {
            Some(Verdict::Apply(instead)) if plan.books.book(&instead.legs).is_ok() => decision = *instead,
            _ => return contradiction(plan, step, error.to_string()),
        }
    }
    let from = transaction.stage;
    advance(transaction, &decision);
    for (kind, message) in &decision.alarms {
        plan.alarms
            .push((kind, step.transaction.to_string(), message.clone()));
    }
    let (id, wallets) = (transaction.id, transaction.wallets());
    let stage = transaction.stage;
    plan.planned.push(Planned {
        transaction: id,
        wallets,
        from,
        decision,
    });
    Outcome::Applied(stage)
}

fn contradiction(plan: &mut Plan, step: &Step, message: String) -> Outcome {
    plan.alarms
        .push(("contradiction", step.transaction.to_string(), message.clone()));
    Outcome::Contradiction(message)
}

/// What the owner reads when a posting is impossible; none for commands that report what has already happened outside.
fn refusal(command: &Command, error: PostingError) -> Option<FailureReason> {
    if !matches!(command, Command::Execute | Command::Hold) {
        return None;
    }
    match error {
        PostingError::InsufficientFunds(_) => Some(FailureReason::new(
            FailureCode::InsufficientFunds,
            "the wallet's balance is too low",
        )),
        PostingError::Money {
            source: MoneyError::CurrencyMismatch { .. },
            ..
        } => Some(FailureReason::new(
            FailureCode::CurrencyMismatch,
            "the wallets hold different currencies",
        )),
        PostingError::Money { .. } => Some(FailureReason::new(
            FailureCode::LimitExceeded,
            "the receiving wallet cannot hold that much",
        )),
        PostingError::NotLocked(_) | PostingError::Unbalanced => None,
    }
}

/// What the following steps of the batch see.
fn advance(transaction: &mut Transaction, decision: &Decision) {
    if let Some(stage) = decision.to {
        transaction.stage = stage;
        transaction.status = stage.status();
    }
    let changes = &decision.changes;
    for (column, change) in [
        (&mut transaction.stripe_payment_intent_id, &changes.payment_intent),
        (&mut transaction.stripe_transfer_id, &changes.transfer),
        (&mut transaction.stripe_payout_id, &changes.payout),
        (&mut transaction.failure_reason, &changes.failure_reason),
    ] {
        if change.is_some() {
            column.clone_from(change);
        }
    }
}
