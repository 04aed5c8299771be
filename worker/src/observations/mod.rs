//! Observes Stripe objects and settles what their state asks for: one module for each kind of object.
//!
//! Events, polls and the answers to our own calls all lead here. Whichever comes first, the object's state decides, and the
//! later ones find it settled. Our own row decides whose money it is, or the record of the call that made the object if Stripe
//! reports it before our row exists. The object's metadata only leads there: anyone with a key of the account can write it.

mod account;
mod dispute;
mod payment_intent;
mod payout;
mod refund;
mod suspense;
mod transfer;

pub(crate) use account::{account, disconnected};
pub(crate) use dispute::dispute;
pub(crate) use payment_intent::{apply as apply_payment_intent, give_up, payment_intent};
pub(crate) use payout::{bank_of, payout};
pub(crate) use refund::{apply as apply_refund, refund};
pub(crate) use transfer::{reversal_author, transfer};

use chrono::TimeDelta;
use serde_json::json;
use wallet_core::accept::{ExternalMovement, open_external_movement};
use wallet_core::alarms::{self, AlarmKind};
use wallet_core::audit::Actor;
use wallet_core::flows::{BalanceEntry, Command};
use wallet_core::inbox::EventEnd;
use wallet_core::inbox::StoredEvent;
use wallet_core::jobs::ClaimedJob;
use wallet_core::settle::{Outcome, Step};
use wallet_core::stripe::{AccountId, Author, BalanceTransaction, Lane, Metadata, Operation, StripeError};
use wallet_core::transactions::{self, ExternalRef, Flow, Stage, TimelineKind, Transaction};

use crate::job_error::JobError;
use crate::log_span;
use crate::worker::Worker;

/// How long an object of a connected account that claims to be ours waits for the call that would have made it.
const LONGEST_WAIT_FOR_MAKER: TimeDelta = TimeDelta::days(1);

/// The transaction that a Stripe object claims to belong to, and who made the object according to the record of our calls.
struct Attribution {
    transaction: Transaction,
    author: Author,
    /// Whether the observation still waits for the call that would have made it.
    is_waited_for: bool,
}

impl Attribution {
    /// Whether a call of ours made the object. `fits`: the object is what that call would make. `before`: the stages at which the
    /// call is still to come; after a restored backup it will find under its key what it made before. For an object of a connected
    /// account this wait is bounded: the holder of the account's key can make any number of them, and moves no money of ours by it.
    ///
    /// # Errors
    /// [`JobError::AfterCall`] while this is undecided: the observation is repeated.
    fn is_ours(&self, fits: bool, before: &[Stage]) -> Result<bool, JobError> {
        match self.author {
            Author::Us => Ok(true),
            Author::Undecided => Err(JobError::AfterCall("the call that may have made it is under way")),
            Author::Others if fits && before.contains(&self.transaction.stage) && self.is_waited_for => Err(
                JobError::AfterCall("the call that would have made it is still to come"),
            ),
            Author::Others => Ok(false),
        }
    }
}

/// Returns a movement of the platform's balance in the form in which it is booked.
pub(crate) fn entry(movement: &BalanceTransaction) -> BalanceEntry {
    BalanceEntry {
        id: movement.id.clone(),
        amount: movement.amount,
        fee: movement.fee,
        available_on: movement.available_on,
    }
}

/// One observation: the job that makes it, and the event that the job is about, if any.
#[derive(Clone, Copy)]
pub(crate) struct Observation<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) job: &'a ClaimedJob,
    pub(crate) event: Option<&'a StoredEvent>,
}

impl<'a> Observation<'a> {
    /// Makes an observation that no event caused.
    pub(crate) const fn unasked(worker: &'a Worker, job: &'a ClaimedJob) -> Self {
        Self {
            worker,
            job,
            event: None,
        }
    }

    /// Sends a request to Stripe.
    async fn ask<T>(&self, question: impl Future<Output = Result<T, StripeError>>) -> Result<T, JobError> {
        Ok(self.worker.calls.ask(self.lane(), question).await?)
    }

    /// The lane whose breaker guards the request: that of events, or of the job's own queue.
    fn lane(&self) -> Lane {
        self.job
            .kind
            .map_or(Lane::Webhooks, |kind| Lane::of(kind.queue()))
    }

    /// Carries out the commands in order; the last one ends the job, and its event.
    async fn settle(
        &self,
        transaction: &Transaction,
        mut commands: Vec<impl Into<Command>>,
    ) -> Result<(), JobError> {
        let Some(last) = commands.pop() else {
            return self
                .close(EventEnd::Processed, "nothing to do at this state")
                .await;
        };
        let last = self.step(transaction, last);
        let last = match self.event {
            Some(event) => last.of_event(&event.id),
            None => last,
        };
        let mut steps = self.steps(transaction, commands);
        steps.push(last);
        self.carry_out(transaction, &steps).await
    }

    /// Carries out the commands in order; the job continues.
    async fn settle_and_go_on(
        &self,
        transaction: &Transaction,
        commands: Vec<impl Into<Command>>,
    ) -> Result<(), JobError> {
        if commands.is_empty() {
            return Ok(());
        }
        let steps = self.steps(transaction, commands);
        self.carry_out(transaction, &steps).await
    }

    fn step(&self, transaction: &Transaction, command: impl Into<Command>) -> Step {
        Step::new(self.job.claim, transaction.id, transaction.wallets(), command).seen_at(transaction.stage)
    }

    fn steps(&self, transaction: &Transaction, commands: Vec<impl Into<Command>>) -> Vec<Step> {
        let step = |command| self.step(transaction, command).before_others();
        commands.into_iter().map(step).collect()
    }

    async fn carry_out(&self, transaction: &Transaction, steps: &[Step]) -> Result<(), JobError> {
        let moves = steps
            .iter()
            .any(|step| !matches!(step.command, Command::Note { .. }));
        let settled = if moves {
            self.worker.settle_locked(&transaction.wallets(), steps).await?
        } else {
            self.worker.settle(steps).await?
        };
        if settled.outcomes.contains(&Outcome::Overtaken) {
            return Err(JobError::Again("the transaction has gone on since it was read"));
        }
        Ok(())
    }

    /// Ends the job, and its event, without a settlement.
    pub(crate) async fn close(&self, end: EventEnd, note: &str) -> Result<(), JobError> {
        match self.event {
            Some(event) => {
                let note = match end {
                    EventEnd::Parked => self.named(event, note).await?,
                    EventEnd::Processed | EventEnd::Ignored => note.to_owned(),
                };
                self.worker.close_event(self.job, &event.id, end, &note).await
            }
            None => self.worker.finish(self.job).await,
        }
    }

    /// Ends the job of something that only an operator can decide: an event is parked, or else the job is.
    async fn needs_a_person(&self, note: &str) -> Result<(), JobError> {
        match self.event {
            Some(_) => self.close(EventEnd::Parked, note).await,
            None => Err(JobError::Park(note.to_owned())),
        }
    }

    /// Returns the note with what the event is about, for an operator who reads nothing else about it.
    async fn named(&self, event: &StoredEvent, note: &str) -> Result<String, JobError> {
        let mut named = format!("{note}: {}", event.about());
        if let Some(object) = &event.object_id {
            let conn = &mut self.worker.db.conn().await?;
            if let Some(id) = transactions::find_by_object(conn, object).await?
                && let Some(found) = transactions::find(conn, id).await?
            {
                let (flow, amount, wallet) = (found.flow.as_str(), found.amount, found.wallet_id);
                named.push_str(&format!(", {flow} {id} of {amount} of wallet {wallet}"));
            }
        }
        Ok(named)
    }

    /// Returns the transaction that a Stripe object belongs to according to our own record.
    async fn owner(&self, object: &ExternalRef) -> Result<Option<Transaction>, JobError> {
        let conn = &mut self.worker.db.conn().await?;
        match transactions::find_by_external_ref(conn, object).await? {
            Some(id) => {
                log_span::is_about(id);
                Ok(transactions::find(conn, id).await?)
            }
            None => Ok(None),
        }
    }

    /// Returns the transaction of `flow` that an object names in its metadata, if it names one, and who made the object.
    async fn attributed(
        &self,
        operation: Operation,
        flow: Flow,
        object: &str,
        metadata: Metadata,
    ) -> Result<Option<Attribution>, JobError> {
        let Some(id) = metadata.transaction_id else {
            return Ok(None);
        };
        let found = {
            let conn = &mut self.worker.db.conn().await?;
            transactions::find(conn, id).await?
        };
        let Some(transaction) = found.filter(|found| found.flow == flow) else {
            return Ok(None);
        };
        log_span::is_about(id);
        let author = self.worker.calls.author(operation, id.uuid(), object).await?;
        let waited = self.worker.clock.now() - self.job.created_at;
        Ok(Some(Attribution {
            transaction,
            author,
            is_waited_for: operation != Operation::Payout || waited < LONGEST_WAIT_FOR_MAKER,
        }))
    }

    /// Raises an alarm that an object of a connected account claims to be ours and is not; it settles nothing. Each account
    /// has one alarm, with the newest message: the holder of the account's key can make any number of such objects.
    async fn foreign(
        &self,
        transaction: &Transaction,
        account: &AccountId,
        object: &str,
        why: &str,
    ) -> Result<(), JobError> {
        let message = format!(
            "{object} of {account} names transaction {}: {why}",
            transaction.id
        );
        let now = self.worker.clock.now();
        let mut conn = self.worker.db.conn().await?;
        alarms::raise(
            &mut conn,
            AlarmKind::ForeignObject,
            account.as_str(),
            &message,
            now,
        )
        .await?;
        drop(conn);
        self.close(EventEnd::Ignored, why).await
    }

    /// Opens, once, the transaction of money that Stripe reports, and returns it.
    async fn open(&self, movement: &ExternalMovement<'_>) -> Result<Transaction, JobError> {
        let worker = self.worker;
        let actor = if self.event.is_some() {
            Actor::Stripe
        } else {
            Actor::Worker(worker.name.clone())
        };
        let id = open_external_movement(&worker.db, &*worker.ids, &*worker.clock, &actor, movement).await?;
        log_span::is_about(id);
        worker.dispatcher.wake();
        self.worker.find(id).await
    }

    /// Returns a line of the timeline about the event, valid while the transaction is in its current stage.
    fn note(&self, transaction: &Transaction, message: impl Into<String>) -> Option<Command> {
        self.line(transaction, message.into(), None)
    }

    /// As [`Observation::note`], for a state that several events may show: the first observation writes the line.
    fn note_once(
        &self,
        transaction: &Transaction,
        message: impl Into<String>,
        once: ExternalRef,
    ) -> Option<Command> {
        self.line(transaction, message.into(), Some(once))
    }

    fn line(&self, transaction: &Transaction, message: String, once: Option<ExternalRef>) -> Option<Command> {
        let event = self.event?;
        Some(Command::Note {
            kind: TimelineKind::StripeEvent,
            message,
            detail: Some(json!({ "event": event.id, "type": event.event_type })),
            at: transaction.stage,
            once,
        })
    }
}
