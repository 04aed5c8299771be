//! Looking at a Stripe object and settling what its state asks for: one file for each kind of object.
//!
//! Events, our own questions and the answers to our own calls all come here, so whoever tells first, the state of the object decides and
//! the second finds that it has happened. Whose money it is says our own row, or the record of the call that made the object when Stripe
//! tells of it before our row does. The object's metadata only leads there: whoever holds a key of the account can write it.

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
use wallet_core::accept::{Found, open_found};
use wallet_core::alarms::{self, AlarmKind};
use wallet_core::audit::Actor;
use wallet_core::flows::{BalanceEntry, Command};
use wallet_core::ids::TransactionId;
use wallet_core::inbox::StoredEvent;
use wallet_core::jobs::ClaimedJob;
use wallet_core::settle::{Outcome, Step};
use wallet_core::stripe::{AccountId, Author, BalanceTransaction, Lane, Metadata, Operation, StripeError};
use wallet_core::transactions::{self, ExternalRef, Flow, Stage, TimelineKind, Transaction};

use crate::job_error::JobError;
use crate::log_span;
use crate::worker::Worker;
use wallet_core::inbox::EventEnd;

/// How long an object of a connected account that claims to be ours waits for the call that would have made it.
const LONGEST_WAIT_FOR_MAKER: TimeDelta = TimeDelta::days(1);

/// What an object at Stripe says that it belongs to, and who made it by the record of our calls.
struct Claim {
    transaction: Transaction,
    author: Author,
    /// Whether the call that would have made it is waited for.
    is_waited_for: bool,
}

impl Claim {
    /// Whether a call of ours made the object. `fits`: it is what that call would make; `before`: the stages at which the call is still to
    /// come: after a restored backup it finds under its key what it has made before. For an object of a connected account not for ever: whoever
    /// holds a key of the account can make as many as they like, and moves no money of ours by it.
    ///
    /// # Errors
    /// While nobody can say yet, the look is to be repeated.
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

/// A movement of the platform's balance as it is booked.
pub(crate) fn entry(movement: &BalanceTransaction) -> BalanceEntry {
    BalanceEntry {
        id: movement.id.clone(),
        amount: movement.amount,
        fee: movement.fee,
        available_on: movement.available_on,
    }
}

/// Why we look: a job, and the event that it is about if it is about one.
#[derive(Clone, Copy)]
pub(crate) struct Look<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) job: &'a ClaimedJob,
    pub(crate) event: Option<&'a StoredEvent>,
}

impl<'a> Look<'a> {
    /// A look that no event asked for.
    pub(crate) const fn unasked(worker: &'a Worker, job: &'a ClaimedJob) -> Self {
        Self {
            worker,
            job,
            event: None,
        }
    }

    /// Asks Stripe.
    async fn ask<T>(&self, question: impl Future<Output = Result<T, StripeError>>) -> Result<T, JobError> {
        Ok(self.worker.calls.ask(self.lane(), question).await?)
    }

    /// Under which breaker Stripe is asked: that of events, or of the job's own queue.
    fn lane(&self) -> Lane {
        self.job
            .kind
            .map_or(Lane::Webhooks, |kind| Lane::of(kind.queue()))
    }

    /// Carries out the commands in their order; the job, and its event, end with the last one.
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

    /// Carries out the commands in their order; the job goes on.
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
            return Err(JobError::Again(
                "the transaction has gone on since it was looked at",
            ));
        }
        Ok(())
    }

    /// A transaction as it is now.
    async fn again(&self, id: TransactionId) -> Result<Transaction, JobError> {
        let conn = &mut self.worker.db.conn().await?;
        transactions::find(conn, id)
            .await?
            .ok_or_else(|| JobError::Park(format!("there is no transaction {id}")))
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

    /// Ends the job of something that nobody here can decide: an event is parked, anything else parks its job.
    async fn needs_a_person(&self, note: &str) -> Result<(), JobError> {
        match self.event {
            Some(_) => self.close(EventEnd::Parked, note).await,
            None => Err(JobError::Park(note.to_owned())),
        }
    }

    /// The note with what the event is about, for a person who reads nothing else of it.
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

    /// The transaction that our own record says a Stripe object belongs to.
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

    /// The transaction of `flow` that an object names in its metadata, if it names one, with who made the object.
    async fn claimed(
        &self,
        operation: Operation,
        flow: Flow,
        object: &str,
        metadata: Metadata,
    ) -> Result<Option<Claim>, JobError> {
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
        Ok(Some(Claim {
            transaction,
            author,
            is_waited_for: operation != Operation::Payout || waited < LONGEST_WAIT_FOR_MAKER,
        }))
    }

    /// Tells a person that an object of a connected account claims to be ours and is not; nothing is settled by it. Of one account there is one
    /// alarm, whose message has the newest: whoever has its key can make as many as they like.
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

    /// Opens, once, the transaction of money that Stripe tells of, and gives it.
    async fn open(&self, found: &Found<'_>) -> Result<Transaction, JobError> {
        let worker = self.worker;
        let actor = if self.event.is_some() {
            Actor::Stripe
        } else {
            Actor::Worker(worker.name.clone())
        };
        let id = open_found(&worker.db, &*worker.ids, &*worker.clock, &actor, found).await?;
        log_span::is_about(id);
        worker.dispatcher.wake();
        self.again(id).await
    }

    /// A line of the timeline about the event, for as long as the transaction is where it is now.
    fn note(&self, transaction: &Transaction, message: impl Into<String>) -> Option<Command> {
        self.line(transaction, message.into(), None)
    }

    /// As [`Look::note`], of an object's state that several events may show: whichever is looked at first tells it.
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
