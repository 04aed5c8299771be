//! Settlement: the one function through which money moves and a status changes.
//!
//! The results of workers, of second workers on the same job, and of webhooks all come here. In one database transaction, the jobs are
//! locked, and steps with an older fence dropped; then the wallets and then the transactions are locked, each in the order of their ids;
//! the flows decide in memory, one step after the other; then balances, entries, statuses, timeline, references, follow-up jobs, the audit
//! record and the ends of the jobs are written by a few statements, of which only those for follow-up jobs, alarms and debts grow in number. A single step is a batch of one.
//! A step that is stale, refused or contradictory does not affect its neighbours.

mod lock;
mod plan;
mod write;

#[cfg(test)]
mod tests;

use uuid::Uuid;

use crate::audit::Actor;
use crate::clock::SharedClock;
use crate::db::{Db, DbError, Patience, in_transaction};
use crate::failpoints::{self, Point};
use crate::feed::Announcer;
use crate::flows::{Command, Contradiction};
use crate::ids::{SharedIds, TransactionId, WalletId};
use crate::jobs::{Claim, QueueName};
use crate::transactions::{FailureReason, Stage};

/// One command for one transaction.
#[derive(Debug, Clone)]
pub struct Step {
    /// The claim of the job whose effect this is. If the job has been claimed again since, the step changes nothing.
    pub claim: Claim,
    /// Whether the job ends with the step.
    pub ends_job: bool,
    /// The transaction.
    pub transaction: TransactionId,
    /// The wallets to lock: those of the transaction.
    pub wallets: Vec<WalletId>,
    /// The command to carry out.
    pub command: Command,
    /// The stored Stripe event that the step processes, if it processes one.
    pub stripe_event: Option<String>,
    /// The stage of the transaction when the command was decided, if the decision depends on it.
    pub seen_at: Option<Stage>,
    /// Whether nothing is written if the step would only fail the transaction.
    pub keeps_refusals: bool,
}

impl Step {
    /// Creates a step that is the effect of a job, and with which the job ends.
    #[must_use]
    pub fn new(
        claim: Claim,
        transaction: TransactionId,
        wallets: Vec<WalletId>,
        command: impl Into<Command>,
    ) -> Self {
        Self {
            claim,
            ends_job: true,
            transaction,
            wallets,
            command: command.into(),
            stripe_event: None,
            seen_at: None,
            keeps_refusals: false,
        }
    }

    /// Notes that the command was decided by the transaction's stage, which was this one: if the transaction has moved on and the step no longer
    /// follows, the outcome is no contradiction but [`Outcome::Overtaken`].
    #[must_use]
    pub const fn seen_at(mut self, stage: Stage) -> Self {
        self.seen_at = Some(stage);
        self
    }

    /// Makes it a step after which the job continues.
    #[must_use]
    pub fn before_others(mut self) -> Self {
        self.ends_job = false;
        self
    }

    /// Makes it a step that writes nothing if it would only fail the transaction: the caller first checks whether its effect has come about anyway.
    #[must_use]
    pub const fn unless_refused(mut self) -> Self {
        self.keeps_refusals = true;
        self
    }

    /// Also marks the stored Stripe event as processed.
    #[must_use]
    pub fn of_event(mut self, event: impl Into<String>) -> Self {
        self.stripe_event = Some(event.into());
        self
    }
}

/// The outcome of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The step was written; the transaction is now at this stage.
    Applied(Stage),
    /// The step had happened before: the job ended, nothing else changed.
    AlreadyApplied,
    /// The job has been claimed again, parked or ended since: nothing changed.
    StaleFence,
    /// The step contradicts what has happened: an alarm was raised, the job ended, nothing else changed.
    Contradiction(Contradiction),
    /// The transaction has moved on since it was read, and the step, which was decided by its stage, no longer follows: nothing changed, neither by
    /// this step nor by the later steps of its job. The caller reads the object again and decides again.
    Overtaken,
    /// The step would only fail the transaction, for this reason, which the caller did not want: nothing changed, neither by this step nor by the
    /// later steps of its job. Only with [`Step::unless_refused`].
    Refused(FailureReason),
    /// The step's Stripe object leads to another transaction already: an alarm was raised, and nothing else changed, neither by this step nor by
    /// the later steps of its job. It needs an operator.
    ForeignObject(String),
    /// There is no such transaction: an alarm was raised, and the job ended.
    UnknownTransaction,
    /// Another session holds one of the step's rows at this moment: nothing changed, and the step is to be tried again. Only with
    /// [`Settler::settle_what_is_free`].
    Held,
}

/// The result of a settlement.
#[derive(Debug, Default)]
pub struct Settled {
    /// The outcome of each step, in the order of the steps.
    pub outcomes: Vec<Outcome>,
    /// The queues that have new jobs, whose dispatchers are worth waking.
    pub queues: Vec<QueueName>,
    /// The ids of other rows that changed than those of the steps: debt payments, and the wallets concerned.
    beside: Vec<Uuid>,
}

impl Settled {
    /// Returns the outcome of the only step.
    #[must_use]
    pub fn single(&self) -> Option<&Outcome> {
        self.outcomes.first()
    }
}

/// Settles steps on behalf of one process.
#[derive(Debug, Clone)]
pub struct Settler {
    db: Db,
    clock: SharedClock,
    ids: SharedIds,
    actor: Actor,
    announcer: Option<Announcer>,
}

impl Settler {
    /// Creates a settler that writes as `actor`.
    #[must_use]
    pub fn new(db: Db, clock: SharedClock, ids: SharedIds, actor: Actor) -> Self {
        Self {
            db,
            clock,
            ids,
            actor,
            announcer: None,
        }
    }

    /// Makes the settler announce to subscribers what it has changed, after the commit.
    #[must_use]
    pub fn announcing(mut self, announcer: Announcer) -> Self {
        self.announcer = Some(announcer);
        self
    }

    /// Carries out these steps, in their order, in one database transaction.
    ///
    /// # Errors
    /// When the database cannot be reached or a row is inconsistent; then nothing was written, or, after a failed commit, possibly
    /// everything: repeating the call is safe.
    pub async fn settle(&self, steps: &[Step]) -> Result<Settled, DbError> {
        self.settle_with(steps, Patience::Wait).await
    }

    /// Carries out these steps, except those whose job, wallets or transaction another session holds ([`Outcome::Held`]): an operator's session or
    /// a long report delays only the steps that need what it holds. For rows that are not known beforehand, it waits at most 250 ms.
    ///
    /// # Errors
    /// As [`Settler::settle`].
    pub async fn settle_what_is_free(&self, steps: &[Step]) -> Result<Settled, DbError> {
        self.settle_with(steps, Patience::PassBy).await
    }

    async fn settle_with(&self, steps: &[Step], patience: Patience) -> Result<Settled, DbError> {
        let settled: Result<Settled, DbError> = in_transaction!(self.db, conn => {
            let now = self.clock.now();
            let locked = lock::lock(conn, steps, patience).await?;
            let plan = plan::plan(locked, steps, &*self.ids, now)?;
            write::write(conn, &*self.ids, &self.actor, now, &plan).await?;
            Ok(plan.into_settled())
        });
        let settled = settled?;
        let mut changed = changed(steps, &settled.outcomes);
        changed.extend(settled.beside.iter().copied());
        if !changed.is_empty() {
            failpoints::reach(Point::SettleCommitSent).await;
        }
        if let Some(announcer) = &self.announcer {
            announcer.announce(changed);
        }
        Ok(settled)
    }
}

/// Returns the ids of the rows that these steps have changed.
fn changed(steps: &[Step], outcomes: &[Outcome]) -> Vec<Uuid> {
    let applied = |(_, outcome): &(&Step, &Outcome)| matches!(outcome, Outcome::Applied(_));
    let ids = |(step, _): (&Step, &Outcome)| {
        let wallets: Vec<Uuid> = step.wallets.iter().map(|wallet| wallet.uuid()).collect();
        std::iter::once(step.transaction.uuid()).chain(wallets)
    };
    steps.iter().zip(outcomes).filter(applied).flat_map(ids).collect()
}
