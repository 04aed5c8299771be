//! What every job may use.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use wallet_core::audit::Actor;
use wallet_core::budget::CallBudget;
use wallet_core::clock::SharedClock;
use wallet_core::config::WorkerConfig;
use wallet_core::crypto::Vault;
use wallet_core::db::Db;
use wallet_core::debts::AlarmLimits;
use wallet_core::dispatch::Dispatcher;
use wallet_core::feed::Announcer;
use wallet_core::foundation::Foundation;
use wallet_core::ids::{SharedIds, WalletId};
use wallet_core::inbox::{self, EventEnd, Inbox};
use wallet_core::jobs::{self, ClaimedJob};
use wallet_core::locks::{LockError, WalletLocks};
use wallet_core::settle::{Outcome, Settled, Settler, Step};
use wallet_core::stripe::StripeCalls;
use wallet_core::transactions::{self, Transaction};

use crate::failed_alone::FailedAlone;
use crate::job_error::JobError;
use crate::lock_waits::Waits;
use crate::metrics;
use crate::settlement::Settlement;

/// The tools of a worker process, shared by all its jobs.
#[derive(Debug)]
pub struct Worker {
    /// `host:pid:nonce`, in leases and in the audit trail.
    pub name: String,
    /// PostgreSQL.
    pub db: Db,
    /// Now.
    pub clock: SharedClock,
    /// New ids.
    pub ids: SharedIds,
    /// Sealing and opening.
    pub vault: Arc<Vault>,
    /// Stripe's events.
    pub inbox: Inbox,
    /// Stripe, with the record of every call.
    pub calls: StripeCalls,
    /// RedLock.
    pub locks: WalletLocks,
    /// The door through which money moves.
    pub settler: Settler,
    /// Hands follow-up jobs to Redis.
    pub dispatcher: Dispatcher,
    /// Tells whoever watches what has changed.
    pub announcer: Announcer,
    /// How often jobs had to wait for Stripe, so that they are not tried before it is quiet.
    pub(crate) failed_alone: FailedAlone,
    /// Wallets whose lock does not come free.
    pub(crate) waits: Waits,
    /// Above which debt of a person somebody is told.
    pub(crate) debt_alarms: AlarmLimits,
    /// The longest that one run of a job may take.
    pub(crate) job_timeout: Duration,
    /// How many questions the housekeeping may ask Stripe.
    pub(crate) call_budget: CallBudget,
    /// In which currencies the platform is paid.
    pub(crate) settlement: Settlement,
}

impl Worker {
    /// Puts the tools together.
    #[must_use]
    pub fn new(
        config: &WorkerConfig,
        foundation: Foundation,
        calls: StripeCalls,
        locks: WalletLocks,
        dispatcher: Dispatcher,
        announcer: Announcer,
    ) -> Self {
        let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
        let host = host.trim();
        let host = if host.is_empty() { "host" } else { host };
        let name = format!(
            "{host}:{}:{:08x}",
            std::process::id(),
            rand::rng().random::<u32>()
        );
        let inbox = foundation.inbox(&config.stripe);
        let Foundation {
            db,
            clock,
            ids,
            vault,
        } = foundation;
        let settler = Settler::new(
            db.clone(),
            Arc::clone(&clock),
            Arc::clone(&ids),
            Actor::Worker(name.clone()),
        )
        .announcing(announcer.clone());
        Self {
            inbox,
            calls,
            failed_alone: FailedAlone::default(),
            waits: Waits::new(config.job_timeout, locks.ttl()),
            debt_alarms: config.debt_alarms.clone(),
            job_timeout: config.job_timeout,
            call_budget: CallBudget::new(config.stripe.calls_per_second),
            settlement: Settlement::new(config.stripe.settlement.clone()),
            name,
            db,
            clock,
            ids,
            vault,
            locks,
            settler,
            dispatcher,
            announcer,
        }
    }

    /// The job's transaction.
    pub(crate) async fn transaction(&self, job: &ClaimedJob) -> Result<Transaction, JobError> {
        let id = job
            .transaction
            .ok_or_else(|| JobError::Park("the job names no transaction".to_owned()))?;
        let conn = &mut self.db.conn().await?;
        transactions::find(conn, id)
            .await?
            .ok_or_else(|| JobError::Park(format!("there is no transaction {id}")))
    }

    /// The transaction that this one relates to.
    pub(crate) async fn related(&self, transaction: &Transaction) -> Result<Transaction, JobError> {
        let none = || JobError::Park(format!("{} relates to no transaction", transaction.id));
        let id = transaction.related_transaction_id.ok_or_else(none)?;
        let conn = &mut self.db.conn().await?;
        transactions::find(conn, id).await?.ok_or_else(none)
    }

    /// Settles steps that change no balance, or whose wallets are locked by the caller.
    pub(crate) async fn settle(&self, steps: &[Step]) -> Result<Settled, JobError> {
        let settled = self.settler.settle(steps).await?;
        self.note(steps, &settled);
        let foreign = settled.outcomes.iter().find_map(|outcome| match outcome {
            Outcome::ForeignObject(why) => Some(why.clone()),
            _ => None,
        });
        match foreign {
            // Trying again would find the same: whose it is a person has to find out.
            Some(why) => Err(JobError::Park(why)),
            None => Ok(settled),
        }
    }

    /// The same, without those steps of which somebody else holds a row.
    pub(crate) async fn settle_what_is_free(&self, steps: &[Step]) -> Result<Settled, JobError> {
        let settled = self.settler.settle_what_is_free(steps).await?;
        self.note(steps, &settled);
        Ok(settled)
    }

    fn note(&self, steps: &[Step], settled: &Settled) {
        metrics::count_settled(&settled.outcomes);
        if !settled.queues.is_empty() {
            self.dispatcher.wake();
        }
        for (step, outcome) in steps.iter().zip(&settled.outcomes) {
            tracing::debug!(transaction_id = %step.transaction, ?outcome, "settled");
        }
    }

    /// Settles steps that change balances, with the wallets locked against other workers.
    pub(crate) async fn settle_locked(
        &self,
        wallets: &[WalletId],
        steps: &[Step],
    ) -> Result<Settled, JobError> {
        let guard = match self.locks.lock(wallets).await {
            Ok(guard) => guard,
            Err(refused) => {
                if let LockError::Busy { wallet } = refused {
                    self.note_locks([wallet], []);
                }
                return Err(refused.into());
            }
        };
        self.note_locks([], wallets.iter().copied());
        // Should the lock be lost from here on, the fence and the row locks still decide.
        let settled = self.settle(steps).await;
        guard.release().await;
        settled
    }

    /// Notes which wallets could be locked and which not.
    pub(crate) fn note_locks(
        &self,
        busy: impl IntoIterator<Item = WalletId>,
        free: impl IntoIterator<Item = WalletId>,
    ) {
        let now = self.clock.now();
        busy.into_iter().for_each(|wallet| self.waits.busy(wallet, now));
        free.into_iter().for_each(|wallet| self.waits.free(wallet));
    }

    /// Ends a job that turned out to have nothing to do.
    pub(crate) async fn finish(&self, job: &ClaimedJob) -> Result<(), JobError> {
        jobs::finish(&mut *self.db.conn().await?, &[job.claim], self.clock.now()).await?;
        Ok(())
    }

    /// Ends the job of a Stripe event without a settlement.
    pub(crate) async fn close_event(
        &self,
        job: &ClaimedJob,
        event: &str,
        end: EventEnd,
        note: &str,
    ) -> Result<(), JobError> {
        if inbox::close(&self.db, job.claim, event, end, note, self.clock.now()).await? {
            metrics::count_event(end);
        }
        Ok(())
    }
}
