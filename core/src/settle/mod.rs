//! The one door through which money moves and a status changes.
//!
//! A worker's result, a webhook and a second worker all come here. In one database transaction: the jobs are locked and those
//! with an older fence dropped; then the wallets, then the transactions, each in the order of their ids; the flows decide in
//! memory, one step after the other; then balances, entries, statuses, timeline, references, follow-up jobs, the audit record
//! and the ends of the jobs are written by a handful of statements, however many steps there are. A single step is a batch of
//! one. A step that is stale, refused or contradictory never takes its neighbours with it.

mod lock;
mod plan;
mod write;

#[cfg(test)]
mod tests;

use uuid::Uuid;

use crate::audit::Actor;
use crate::chaos::{self, Point};
use crate::clock::SharedClock;
use crate::db::{Db, DbError, Patience, in_transaction};
use crate::feed::Announcer;
use crate::flows::{Command, Contradiction};
use crate::ids::{SharedIds, TransactionId, WalletId};
use crate::jobs::{Claim, QueueName};
use crate::transactions::{FailureReason, Stage};

/// One thing to do to one transaction.
#[derive(Debug, Clone)]
pub struct Step {
    /// The job whose effect this is: a step of a job that somebody else has claimed since changes nothing.
    pub claim: Claim,
    /// Whether the job ends with the step.
    pub ends_job: bool,
    /// The transaction.
    pub transaction: TransactionId,
    /// The wallets to lock: those of the transaction.
    pub wallets: Vec<WalletId>,
    /// What to do.
    pub command: Command,
    /// The stored Stripe event that is processed by it.
    pub stripe_event: Option<String>,
    /// How far the transaction was when it was decided what to do, if that decided it.
    pub seen_at: Option<Stage>,
    /// Whether nothing is written when it would end the transaction without its effect.
    pub keeps_refusals: bool,
}

impl Step {
    /// A step that is the effect of a job.
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

    /// What to do was decided by looking at a transaction at this stage: should it have gone on and the step no longer follow, that is
    /// no contradiction but [`Outcome::Overtaken`].
    #[must_use]
    pub const fn seen_at(mut self, stage: Stage) -> Self {
        self.seen_at = Some(stage);
        self
    }

    /// A step after which the job goes on.
    #[must_use]
    pub fn before_others(mut self) -> Self {
        self.ends_job = false;
        self
    }

    /// A step that writes nothing when it would end the transaction without its effect: whoever asks looks first whether the effect has come about.
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

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Written; the transaction is now at this stage.
    Applied(Stage),
    /// It had happened before; the job ended, nothing else changed.
    AlreadyApplied,
    /// Somebody else has claimed the job since: nothing changed.
    StaleFence,
    /// It cannot follow what has happened: an alarm was raised, the job ended, nothing else changed.
    Contradiction(Contradiction),
    /// The transaction has gone on since it was looked at, and the step, which was decided by that look, no longer follows: nothing changed,
    /// neither by this step nor by those of its job after it. Whoever looks again decides anew.
    Overtaken,
    /// It would end the transaction without its effect, for this reason, and was to be written only with it: nothing changed, neither by this step nor by those of its
    /// job after it. Only of [`Step::unless_refused`].
    Refused(FailureReason),
    /// Its Stripe object leads to another transaction already: an alarm was raised, and nothing else changed, neither by this step nor by those
    /// of its job after it, which is a person's business.
    ForeignObject(String),
    /// There is no such transaction: the job ended, an alarm was raised.
    UnknownTransaction,
    /// Somebody else holds one of its rows at this moment: nothing changed, and it is to be tried again. Only of
    /// [`Settler::settle_what_is_free`].
    Held,
}

/// What a settlement did.
#[derive(Debug, Default)]
pub struct Settled {
    /// One for each step, in their order.
    pub outcomes: Vec<Outcome>,
    /// Queues that have new jobs since: worth waking a dispatcher.
    pub queues: Vec<QueueName>,
    /// Rows that changed beside those of the steps: what was taken for debts, and the wallets behind it.
    beside: Vec<Uuid>,
}

impl Settled {
    /// The outcome of the only step.
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
    /// A settler that writes as `actor`.
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

    /// The same settler, which tells whoever watches what it has changed, after the commit.
    #[must_use]
    pub fn announcing(mut self, announcer: Announcer) -> Self {
        self.announcer = Some(announcer);
        self
    }

    /// Carries out these steps, in their order, in one database transaction.
    ///
    /// # Errors
    /// When the database cannot be reached or a row is inconsistent; then nothing was written, or, after a failed commit, all of it
    /// may have been: asking again is safe.
    pub async fn settle(&self, steps: &[Step]) -> Result<Settled, DbError> {
        self.settle_with(steps, Patience::Wait).await
    }

    /// The same, without those steps whose job, wallets or transaction somebody else holds ([`Outcome::Held`]): an operator's session or a long
    /// report delays what it holds and nothing else. What is not known beforehand to be touched is waited for at most 250 ms.
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
            chaos::reach(Point::SettleCommitSent).await;
        }
        if let Some(announcer) = &self.announcer {
            announcer.announce(changed);
        }
        Ok(settled)
    }
}

/// The ids of the rows that these steps have changed.
fn changed(steps: &[Step], outcomes: &[Outcome]) -> Vec<Uuid> {
    let applied = |(_, outcome): &(&Step, &Outcome)| matches!(outcome, Outcome::Applied(_));
    let ids = |(step, _): (&Step, &Outcome)| {
        let wallets: Vec<Uuid> = step.wallets.iter().map(|wallet| wallet.uuid()).collect();
        std::iter::once(step.transaction.uuid()).chain(wallets)
    };
    steps.iter().zip(outcomes).filter(applied).flat_map(ids).collect()
}
