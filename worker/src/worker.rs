//! The tools that every job may use.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use wallet_core::audit::Actor;
use wallet_core::budget::CallBudget;
use wallet_core::clock::SharedClock;
use wallet_core::config::WorkerConfig;
use wallet_core::crypto::Vault;
use wallet_core::db::{Db, in_transaction};
use wallet_core::debts::AlarmLimits;
use wallet_core::dispatch::Dispatcher;
use wallet_core::feed::Announcer;
use wallet_core::foundation::Foundation;
use wallet_core::ids::{SharedIds, TransactionId, WalletId};
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
use crate::settled_currencies::SettledCurrencies;

/// The tools of a worker process, shared by all its jobs.
#[derive(Debug)]
pub struct Worker {
    /// The worker's name in leases and in the audit trail: `host:pid:nonce`.
    pub name: String,
    /// The connections to PostgreSQL.
    pub db: Db,
    /// The clock.
    pub clock: SharedClock,
    /// The source of new ids.
    pub ids: SharedIds,
    /// Seals and opens personal details.
    pub vault: Arc<Vault>,
    /// The stored events of Stripe.
    pub inbox: Inbox,
    /// The Stripe client, with the record of every call.
    pub calls: StripeCalls,
    /// The wallet locks (RedLock).
    pub locks: WalletLocks,
    /// Settlement: the one function through which money moves.
    pub settler: Settler,
    /// Dispatches follow-up jobs to Redis.
    pub dispatcher: Dispatcher,
    /// Announces changed transactions to their subscribers.
    pub announcer: Announcer,
    /// The number of jobs whose call to Stripe failed, by queue: waiting jobs are not expedited while this count rises.
    pub(crate) failed_alone: FailedAlone,
    /// The wallets whose lock does not come free.
    pub(crate) waits: Waits,
    /// The debt of a person above which an alarm is raised.
    pub(crate) debt_alarms: AlarmLimits,
    /// The longest that one run of a job may take.
    pub(crate) job_timeout: Duration,
    /// How many requests to Stripe the housekeeping may make.
    pub(crate) call_budget: CallBudget,
    /// The currencies in which the platform is paid.
    pub(crate) settled_currencies: SettledCurrencies,
}

impl Worker {
    /// Assembles the tools.
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
            settled_currencies: SettledCurrencies::new(config.stripe.settlement_currencies.clone()),
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

    /// Returns the job's transaction.
    pub(crate) async fn transaction(&self, job: &ClaimedJob) -> Result<Transaction, JobError> {
        let id = job
            .transaction
            .ok_or_else(|| JobError::Park("the job names no transaction".to_owned()))?;
        self.find(id).await
    }

    /// Reads the current state of a transaction.
    pub(crate) async fn find(&self, id: TransactionId) -> Result<Transaction, JobError> {
        let conn = &mut self.db.conn().await?;
        transactions::find(conn, id)
            .await?
            .ok_or_else(|| JobError::Park(format!("there is no transaction {id}")))
    }

    /// Returns the transaction that this one relates to.
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
            // Trying again would find the same: an operator has to find out whose object it is.
            Some(why) => Err(JobError::Park(why)),
            None => Ok(settled),
        }
    }

    /// Settles steps like [`Worker::settle`], except those of which another database transaction has locked a row.
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
        // If the lock is lost from here on, the fence and the row locks still decide.
        let settled = self.settle(steps).await;
        guard.release().await;
        settled
    }

    /// Notes which wallets could be locked and which could not.
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
        in_transaction!(self.db, conn => jobs::finish(conn, &[job.claim], self.clock.now()).await)?;
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
