//! Watches what Stripe shows about the platform itself: whether it accepts our key, and whether it pays the platform out by a schedule of its own.
//!
//! A refused key concerns every program, so its alarm is raised within seconds and closed when the key works again. A schedule sends users' money
//! to the platform's bank, so only `manual` raises no alarm (<https://docs.stripe.com/payouts#payout-schedule>: new accounts are paid out daily).

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use wallet_core::alarms::{self, AlarmKind};
use wallet_core::db::DbError;
use wallet_core::error_chain::chain;
use wallet_core::money::Currency;
use wallet_core::stripe::{Account, CallError, Lane};

use crate::metrics::KEY_REFUSED;
use crate::worker::Worker;

/// How often refusals of the key are checked for.
const EVERY: Duration = Duration::from_millis(500);
/// The pause between two requests while the key is refused: no other request may be due.
const WHEN_REFUSED: Duration = Duration::from_secs(2);
/// The pause between two requests otherwise, so that a key revoked during a quiet time is noticed too.
const OTHERWISE: Duration = Duration::from_secs(30);
/// The subject of the alarms: there is one key, and one platform.
const PLATFORM: &str = "platform";
/// The schedule that pays nothing out.
const MANUAL: &str = "manual";

/// Runs until `shutdown`. With `asks`, this worker also queries Stripe while nothing is wrong.
pub(crate) async fn run(worker: Arc<Worker>, asks: bool, shutdown: CancellationToken) {
    let mut watch = Watch {
        told: Told::Nothing,
        refusals: 0,
        schedule: None,
        unsettled: None,
        question_due: Instant::now(),
    };
    while !shutdown.is_cancelled() {
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = watch.ask(&worker, asks) => {}
        }
        watch.tell(&worker).await;
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
    watch.tell(&worker).await;
}

/// The last reported state of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Refused,
    Accepted,
}

struct Watch {
    told: Told,
    /// The number of the key's refusals that an alarm covers.
    refusals: u64,
    /// The schedule that was reported last.
    schedule: Option<String>,
    /// The configured currencies last reported as ones in which Stripe does not pay the platform.
    unsettled: Option<Vec<Currency>>,
    question_due: Instant,
}

impl Watch {
    /// If it is due, sends Stripe a request that any valid key may make.
    async fn ask(&mut self, worker: &Worker, asks: bool) {
        let is_refused = worker.calls.breakers().key().refused_since.is_some();
        // Every worker asks at its start: a key may have been replaced since the alarm, and then works.
        let wants = asks || is_refused || self.told == Told::Nothing;
        if !wants || Instant::now() < self.question_due {
            return;
        }
        let pause = if is_refused { WHEN_REFUSED } else { OTHERWISE };
        self.question_due = Instant::now() + pause;
        let question = worker.calls.client().retrieve_own_account();
        let told = match worker.calls.ask(Lane::Maintenance, question).await {
            Ok(platform) => self.accepted(worker, Some(&platform)).await,
            // The key may not read the account, but it is accepted.
            Err(CallError::Stripe(error)) if error.class.proves_key() => self.accepted(worker, None).await,
            Err(_) => return,
        };
        log(told);
    }

    /// Handles an answer of Stripe: an alarm raised by a process whose key did not work is over.
    async fn accepted(&mut self, worker: &Worker, platform: Option<&Account>) -> Result<(), DbError> {
        if self.told == Told::Nothing {
            close(worker, AlarmKind::StripeKeyRefused).await?;
            self.told = Told::Accepted;
        }
        let schedule = platform.and_then(|platform| platform.payout_interval.clone());
        if schedule.is_some() && schedule != self.schedule {
            report_schedule(worker, schedule.as_deref().unwrap_or(MANUAL)).await?;
            self.schedule = schedule;
        }
        if let Some(platform) = platform {
            self.settles(worker, platform).await?;
        }
        Ok(())
    }

    /// Compares the currencies in which Stripe pays the platform with the configured ones.
    async fn settles(&mut self, worker: &Worker, platform: &Account) -> Result<(), DbError> {
        let mut unsettled = worker.settled_currencies.confirm(platform, None);
        if !unsettled.is_empty() {
            // Few keys may read the bank accounts of the platform's own account; the balance is held in settled currencies alone.
            let question = worker.calls.client().retrieve_balance(None);
            let Ok(balance) = worker.calls.ask(Lane::Maintenance, question).await else {
                return Ok(());
            };
            unsettled = worker.settled_currencies.confirm(platform, Some(&balance));
        }
        if self.unsettled.as_ref() != Some(&unsettled) {
            report_unsettled(worker, platform, &unsettled).await?;
            self.unsettled = Some(unsettled);
        }
        Ok(())
    }

    /// Reports what happened to the key since the last time, even if it was refused only for a moment.
    async fn tell(&mut self, worker: &Worker) {
        let key = worker.calls.breakers().key();
        metrics::gauge!(KEY_REFUSED).set(u8::from(key.refused_since.is_some()));
        if key.refusals != self.refusals {
            let since = key.refused_since.unwrap_or_else(|| worker.clock.now());
            let told = raise_refused(worker, since).await;
            if told.is_ok() {
                self.refusals = key.refusals;
                self.told = Told::Refused;
            }
            log(told);
        }
        if self.told == Told::Refused && key.refused_since.is_none() {
            let told = close(worker, AlarmKind::StripeKeyRefused).await;
            if told.is_ok() {
                self.told = Told::Accepted;
            }
            log(told);
        }
    }
}

/// If this could not be reported, PostgreSQL is away: readiness reports that, and the next round tries again.
fn log(told: Result<(), DbError>) {
    if let Err(error) = told {
        tracing::debug!(error = %chain(&error), "what Stripe says about the platform could not be reported");
    }
}

async fn raise_refused(worker: &Worker, since: DateTime<Utc>) -> Result<(), DbError> {
    let message = format!(
        "Stripe refuses our key since {since}: whatever needs Stripe waits. Set STRIPE_SECRET_KEY to a key that works and start the programs again; \
         if the key is allowed again instead, everything goes on by itself"
    );
    raise(worker, AlarmKind::StripeKeyRefused, &message).await
}

/// Reports whether Stripe pays the platform out by itself.
async fn report_schedule(worker: &Worker, interval: &str) -> Result<(), DbError> {
    if interval == MANUAL {
        return close(worker, AlarmKind::PlatformPayoutSchedule).await;
    }
    let message = format!(
        "Stripe pays the platform's balance out by itself ({interval}), and with it the money of users. Set the payout schedule of the platform's \
         account to manual (Dashboard, Settings, Payouts), and pay out only what reconcile shows as the platform's own"
    );
    raise(worker, AlarmKind::PlatformPayoutSchedule, &message).await
}

/// Reports which configured currencies Stripe converts.
async fn report_unsettled(
    worker: &Worker,
    platform: &Account,
    unsettled: &[Currency],
) -> Result<(), DbError> {
    if unsettled.is_empty() {
        return close(worker, AlarmKind::PlatformSettlement).await;
    }
    let codes: Vec<&str> = unsettled.iter().map(|currency| currency.code()).collect();
    let codes = codes.join(", ");
    let default = platform
        .default_currency
        .map_or("another currency", Currency::code);
    let message = format!(
        "STRIPE_SETTLEMENT_CURRENCIES names {codes}, and Stripe does not say that it pays the platform in it: payments would be converted to {default}. Add \
         the currency and a bank account for it (Dashboard, Settings, Payouts), or remove it from the variable; until Stripe has shown a payment in \
         it, each is looked at before it is credited"
    );
    raise(worker, AlarmKind::PlatformSettlement, &message).await
}

async fn raise(worker: &Worker, kind: AlarmKind, message: &str) -> Result<(), DbError> {
    let conn = &mut worker.db.conn().await?;
    alarms::raise(conn, kind, PLATFORM, message, worker.clock.now()).await
}

async fn close(worker: &Worker, kind: AlarmKind) -> Result<(), DbError> {
    let conn = &mut worker.db.conn().await?;
    alarms::close(conn, kind, PLATFORM, worker.clock.now())
        .await
        .map(drop)
}
