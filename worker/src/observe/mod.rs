//! Looking at a Stripe object and settling what its state asks for: one file for each kind of object.
//!
//! Events, our own questions and the answers to our own calls all come here, so whoever tells first, the state of the object decides and
//! the second finds that it has happened. Whose money it is says our own row; the object's metadata only leads to it when Stripe
//! tells of the object before our own record of it is written.

mod account;
mod dispute;
mod payment_intent;
mod payout;
mod refund;
mod transfer;

pub(crate) use account::{account, disconnected};
pub(crate) use dispute::dispute;
pub(crate) use payment_intent::{apply as apply_payment_intent, give_up, payment_intent};
pub(crate) use payout::payout;
pub(crate) use refund::{apply as apply_refund, refund};
pub(crate) use transfer::transfer;

use serde_json::json;
use wallet_core::accept::{Found, open_found};
use wallet_core::audit::Actor;
use wallet_core::flows::Command;
use wallet_core::ids::TransactionId;
use wallet_core::inbox::StoredEvent;
use wallet_core::jobs::{ClaimedJob, JobKind, QueueName};
use wallet_core::settle::Step;
use wallet_core::stripe::{GatewayError, Lane, Metadata};
use wallet_core::transactions::{self, TimelineKind, Transaction};

use crate::outcome::JobError;
use crate::worker::{EventEnd, Worker};

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

    /// Asks Stripe, under the breaker of events or of the job's own queue.
    async fn ask<T>(&self, question: impl Future<Output = Result<T, GatewayError>>) -> Result<T, JobError> {
        let lane = match self.job.kind.map(JobKind::queue) {
            Some(QueueName::Deposits) => Lane::Deposits,
            Some(QueueName::Withdrawals) => Lane::Withdrawals,
            Some(QueueName::Maintenance) => Lane::Maintenance,
            _ => Lane::Webhooks,
        };
        Ok(self.worker.calls.ask(lane, question).await?)
    }

    /// Carries out the commands in their order; the job, and its event, end with the last one.
    async fn settle(&self, transaction: &Transaction, mut commands: Vec<Command>) -> Result<(), JobError> {
        let Some(last) = commands.pop() else {
            return self.close(EventEnd::Passed, "nothing to do at this state").await;
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
        commands: Vec<Command>,
    ) -> Result<(), JobError> {
        if commands.is_empty() {
            return Ok(());
        }
        let steps = self.steps(transaction, commands);
        self.carry_out(transaction, &steps).await
    }

    fn step(&self, transaction: &Transaction, command: Command) -> Step {
        Step::new(self.job.claim, transaction.id, transaction.wallets(), command)
    }

    fn steps(&self, transaction: &Transaction, commands: Vec<Command>) -> Vec<Step> {
        let step = |command| self.step(transaction, command).before_others();
        commands.into_iter().map(step).collect()
    }

    async fn carry_out(&self, transaction: &Transaction, steps: &[Step]) -> Result<(), JobError> {
        let moves = steps
            .iter()
            .any(|step| !matches!(step.command, Command::Note { .. }));
        if moves {
            self.worker.settle_locked(&transaction.wallets(), steps).await?;
        } else {
            self.worker.settle(steps).await?;
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
            Some(event) => self.worker.close_event(self.job, &event.id, end, note).await,
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

    /// The transaction of a Stripe object: by our record of it, else by the metadata we gave it.
    async fn owner(
        &self,
        kind: &str,
        object: &str,
        metadata: Option<Metadata>,
    ) -> Result<Option<Transaction>, JobError> {
        let conn = &mut self.worker.db.conn().await?;
        let recorded: Option<TransactionId> = transactions::find_by_external_ref(conn, kind, object).await?;
        let Some(id) = recorded.or(metadata.and_then(|metadata| metadata.transaction_id)) else {
            return Ok(None);
        };
        Ok(transactions::find(conn, id).await?)
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
        worker.dispatcher.wake();
        self.again(id).await
    }

    /// A line of the timeline about the event, for as long as the transaction is where it is now.
    fn note(&self, transaction: &Transaction, message: impl Into<String>) -> Option<Command> {
        let event = self.event?;
        Some(Command::Note {
            kind: TimelineKind::StripeEvent,
            message: message.into(),
            detail: Some(json!({ "event": event.id, "type": event.event_type })),
            at: transaction.stage,
        })
    }
}
