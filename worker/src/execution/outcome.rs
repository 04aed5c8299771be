//! Ends a job that its own settlement did not end: to be retried, released, or parked.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rand::Rng;
use wallet_core::db::DbError;
use wallet_core::error_chain::chain;
use wallet_core::ids::TransactionId;
use wallet_core::inbox::InboxError;
use wallet_core::jobs::{self, ClaimedJob, JobKind, QueueName, Reschedule, WaitsFor};
use wallet_core::locks::LockError;
use wallet_core::retry::RetryPolicy;
use wallet_core::stripe::{CallError, Disposition, Lane, Scope, StripeError};
use wallet_core::transactions::{self, TimelineKind};

use crate::job_error::JobError;
use crate::lock_waits::OVERDUE;
use crate::metrics::count_job;
use crate::worker::Worker;

/// The counted attempts after which a job is parked: with [`RetryPolicy::STRIPE_UNKNOWN`] about half a day, at most a day.
const MOST_ATTEMPTS: i32 = 100;

/// Attempts after which a job that Stripe forbids is parked: some seconds, in which a permission change may take effect.
const MOST_FORBIDDEN: i32 = 5;

/// How long a job waits for funds, or for a call that is undecided, before it is parked: longer than any country lets a payment settle
/// (<https://docs.stripe.com/payouts#payout-speed>).
const LONGEST_WAIT_FOR_FUNDS: TimeDelta = TimeDelta::days(35);

/// How long a job waits for a reversal that Stripe holds until the account has the money: longer than Stripe
/// itself waits, which is 45 days (<https://docs.stripe.com/connect/pending-transfer-reversals>).
const LONGEST_WAIT_FOR_REVERSAL: TimeDelta = TimeDelta::days(50);

/// How long a job waits for another job before it is parked.
const LONGEST_WAIT_FOR_ANOTHER: TimeDelta = TimeDelta::days(1);

/// The longest pause between two checks of an object whose maker is not known yet.
const LONGEST_BETWEEN_TRIES: Duration = Duration::from_secs(60 * 60);

/// The pause between two attempts to write how a job ended while the database is away; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(16);

/// How long a job waits for money-out before it checks again; when money-out is started, waiting jobs are woken.
const STOPPED: Duration = Duration::from_secs(5);

/// How long after a timeline line about waiting the same line may be written again.
const REPORT_AGAIN_AFTER: TimeDelta = TimeDelta::hours(1);

/// What to do with a job after an error.
#[derive(Debug, Clone, Copy)]
enum End {
    /// Tries again later; the attempt counts.
    Retry(Duration),
    /// Releases the job; the attempt is returned.
    Release(Duration),
    Park,
}

impl End {
    /// The outcome's label in metrics.
    const fn name(&self) -> &'static str {
        match self {
            Self::Retry(_) => "retried",
            Self::Release(_) => "handed_back",
            Self::Park => "parked",
        }
    }
}

/// Ends a job after an error. If even that fails, the job is left to its lease.
pub(super) async fn end(worker: &Worker, job: &ClaimedJob, error: &JobError) {
    if matches!(error, JobError::Call(CallError::ClaimVoid)) {
        return;
    }
    let (waits_for, reason) = match error {
        JobError::Lock(LockError::Busy { wallet }) if worker.waits.is_reported(*wallet) => {
            (WaitsFor::LockOverdue, OVERDUE.to_owned())
        }
        _ => (error.waits_for(), error.to_string()),
    };
    let now = worker.clock.now();
    let end = resumable(worker, job, error, decide(job, error, now));
    let told = for_operators(error, end, &reason);
    if let End::Retry(delay) = end {
        tracing::info!(attempts = job.attempts, ?delay, error = %chain(error), "trying again later");
    }
    if let End::Park = end {
        tracing::warn!(attempts = job.attempts, error = %chain(error), "parked: an operator has to decide");
    }
    let mut pause = FIRST_PAUSE;
    let is_written = loop {
        let failed = match write_end(worker, job, end, now, (waits_for, &told)).await {
            Ok(is_written) => break is_written,
            Err(failed) => failed,
        };
        tracing::warn!(error = %chain(&failed), "the end of a job could not be written");
        // The job's lease is still renewed, so that its end can be written as soon as the database is back.
        if !failed.is_transient() || pause > LAST_PAUSE {
            break false;
        }
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2);
    };
    if !is_written {
        // The worker that has the job now notifies the owner.
        return;
    }
    count_job(job.kind, end.name());
    // Counts every failure of Stripe, even one that costs no attempt: while these occur, waiting jobs are not
    // expedited. A refusal about one account or one kind of object implies nothing about the others.
    if let JobError::Call(error) = error
        && let (Some(error), Some(kind)) = (error.stripe(), job.kind)
        && !matches!(error.class.scope(), Scope::Account | Scope::Kind)
        && error.class.disposition() != Disposition::WaitForFunds
    {
        worker.failed_alone.count(kind.queue());
    }
    notify_owner(worker, job, error, matches!(end, End::Park), (waits_for, &reason)).await;
}

/// Returns what the job remembers: what its owner reads, and for operators the request that Stripe refused or the key that is missing.
fn for_operators(error: &JobError, end: End, reason: &str) -> String {
    match error {
        JobError::Call(CallError::Stripe(error) | CallError::NotFoundOut(error))
            if matches!(end, End::Park) =>
        {
            format!("{reason} ({})", error.for_operators())
        }
        JobError::Crypto(_)
        | JobError::Inbox(InboxError::Crypto(_))
        | JobError::Call(CallError::Crypto(_)) => chain(error),
        _ => reason.to_owned(),
    }
}

/// While the lane is paused, a failure is Stripe's and not the job's: its attempt is returned, and the job runs again when the lane resumes.
fn resumable(worker: &Worker, job: &ClaimedJob, error: &JobError, end: End) -> End {
    let lane = job.kind.map(|kind| Lane::of(kind.queue()));
    match (end, error) {
        (End::Retry(delay), JobError::Call(CallError::Stripe(error) | CallError::NotFoundOut(error)))
            if error.class.is_outage()
                && lane.is_some_and(|lane| worker.calls.breakers().is_paused(lane)) =>
        {
            End::Release(delay)
        }
        (end, _) => end,
    }
}

/// Writes how a job ended this time; returns whether the claim was still valid.
async fn write_end(
    worker: &Worker,
    job: &ClaimedJob,
    end: End,
    now: DateTime<Utc>,
    (waits_for, reason): (WaitsFor, &str),
) -> Result<bool, DbError> {
    let after = |delay| Reschedule {
        claim: job.claim,
        run_at: now + time(delay),
    };
    match end {
        End::Park => jobs::park(&worker.db, job.claim, now, reason).await,
        End::Retry(delay) => jobs::retry_later(&worker.db, after(delay), waits_for, reason).await,
        End::Release(delay) => Ok(jobs::release(&worker.db, &[after(delay)], waits_for, reason).await? == 1),
    }
}

/// Writes one line of the timeline for each reason to wait, not for each attempt.
async fn notify_owner(
    worker: &Worker,
    job: &ClaimedJob,
    error: &JobError,
    parked: bool,
    (waits_for, reason): (WaitsFor, &str),
) {
    let Some(transaction) = job.transaction else {
        return;
    };
    // Housekeeping does not concern the owner.
    let is_quiet = matches!(
        error,
        JobError::Again(_)
            | JobError::NotYet(_)
            | JobError::AfterAnother(_)
            | JobError::AfterCall(_)
            | JobError::Call(CallError::MadeNothing)
    ) || job
        .kind
        .is_some_and(|kind| kind.queue() == QueueName::Maintenance && kind != JobKind::Cancel);
    if is_quiet {
        return;
    }
    if !parked {
        return report_waiting(worker, job, waits_for, reason).await;
    }
    let words = "support has been told and will look at it";
    write_line(worker, transaction, TimelineKind::NeedsReview, words).await;
}

async fn write_line(worker: &Worker, transaction: TransactionId, kind: TimelineKind, message: &str) {
    let told = async {
        let conn = &mut worker.db.conn().await?;
        transactions::record(
            conn,
            transaction,
            worker.ids.next(),
            worker.clock.now(),
            kind,
            message,
            None,
        )
        .await
    };
    match told.await {
        Ok(()) => worker.announcer.announce(vec![transaction.uuid()]),
        Err(error) => tracing::debug!(error = %chain(&error), "a line of the timeline was not written"),
    }
}

/// Records what a job waits for in the timeline, at most once an hour for each such reason.
pub(super) async fn report_waiting(worker: &Worker, job: &ClaimedJob, waits_for: WaitsFor, message: &str) {
    let Some(transaction) = job.transaction else {
        return;
    };
    let now = worker.clock.now();
    let told = async {
        let conn = &mut worker.db.conn().await?;
        let line = (worker.ids.next(), now);
        let since = job.created_at.max(now - REPORT_AGAIN_AFTER);
        transactions::record_waiting(conn, transaction, line, (waits_for.as_str(), message), since).await
    };
    match told.await {
        Ok(true) => worker.announcer.announce(vec![transaction.uuid()]),
        Ok(false) => {}
        Err(error) => tracing::debug!(error = %chain(&error), "a line of the timeline was not written"),
    }
}

fn decide(job: &ClaimedJob, error: &JobError, now: DateTime<Utc>) -> End {
    let failures = u32::try_from(job.attempts).unwrap_or(1);
    let age = now - job.created_at;
    let draw = |policy: RetryPolicy| policy.delay(failures, &mut rand::rng());
    let end = match error {
        JobError::Park(_) => End::Park,
        JobError::Again(_) | JobError::Call(CallError::MadeNothing) => End::Release(Duration::ZERO),
        JobError::NotYet(_) => End::Retry(draw(RetryPolicy::STRIPE_UNKNOWN)),
        JobError::AfterAnother(_) if age > LONGEST_WAIT_FOR_ANOTHER => End::Park,
        JobError::AfterCall(_) if age > LONGEST_WAIT_FOR_FUNDS => End::Park,
        JobError::AfterFunds(_) if age > LONGEST_WAIT_FOR_REVERSAL => End::Park,
        JobError::AfterFunds(_) => {
            let hours = age.num_hours().clamp(1, 64).ilog2();
            End::Release(RetryPolicy::FUNDS_MISSING.delay(hours.saturating_add(2), &mut rand::rng()))
        }
        // Attempts are returned, so the delay grows with the job's age instead.
        JobError::AfterAnother(_) => {
            let doublings = age.num_seconds().clamp(1, 60).ilog2();
            End::Release(RetryPolicy::AFTER_ANOTHER.delay(doublings.saturating_add(1), &mut rand::rng()))
        }
        JobError::AfterCall(_) => {
            let longest = longest_until_try(age);
            End::Release(RetryPolicy::new(longest, longest).delay(1, &mut rand::rng()))
        }
        JobError::Db(error) if error.is_transient() => End::Retry(draw(RetryPolicy::STORE_AWAY)),
        JobError::Db(_) | JobError::Crypto(_) | JobError::Inbox(_) => End::Retry(draw(RetryPolicy::DEFAULT)),
        JobError::Lock(_) => End::Release(RetryPolicy::CONTENDED.delay(4, &mut rand::rng())),
        JobError::Call(CallError::LaneClosed(_)) => {
            End::Release(RetryPolicy::STRIPE_THROTTLED.delay(3, &mut rand::rng()))
        }
        JobError::Call(CallError::MoneyOutStopped) => {
            End::Release(STOPPED.saturating_add(Duration::from_millis(rand::rng().random_range(0..5_000))))
        }
        JobError::Call(error) => match (error.disposition(), error) {
            (
                Disposition::RetrySameKey { counts: true },
                CallError::Stripe(error) | CallError::NotFoundOut(error),
            ) => End::Retry(draw(policy_of(error))),
            (Disposition::RetrySameKey { counts: true }, _) => End::Retry(draw(RetryPolicy::STORE_AWAY)),
            (Disposition::RetryThenReview, _) if job.attempts >= MOST_FORBIDDEN => End::Park,
            (Disposition::RetryThenReview, _) => End::Retry(draw(RetryPolicy::STRIPE_THROTTLED)),
            (Disposition::WaitForFunds, _) if age > LONGEST_WAIT_FOR_FUNDS => End::Park,
            // The delay equals the time already waited, up to about an hour: each attempt is a new request, and many may wait for the same money.
            (Disposition::WaitForFunds, _) => {
                let doublings = age.num_minutes().clamp(1, 64).ilog2();
                End::Release(RetryPolicy::FUNDS_MISSING.delay(doublings.saturating_add(2), &mut rand::rng()))
            }
            (Disposition::RetrySameKey { counts: false } | Disposition::PauseAll, error) => {
                let policy = match error {
                    CallError::Stripe(error) | CallError::NotFoundOut(error) => policy_of(error),
                    _ => RetryPolicy::STRIPE_THROTTLED,
                };
                // Attempts are returned, so the delay cannot grow with them.
                End::Release(policy.delay(2, &mut rand::rng()))
            }
            // The job itself decides these; one that reaches this place was not expected.
            _ => End::Park,
        },
    };
    match end {
        End::Retry(_) if job.attempts >= MOST_ATTEMPTS => End::Park,
        end => end,
    }
}

/// Returns the longest pause before the next check of an object whose maker is not known yet. Each check is a request to Stripe, and the
/// holder of an account's key can make many such objects. So the pause is short at first, then an eighth of the time already waited.
fn longest_until_try(age: TimeDelta) -> Duration {
    let doublings = age.num_seconds().clamp(1, 60).ilog2();
    let soon = RetryPolicy::AFTER_ANOTHER.ceiling(doublings.saturating_add(1));
    let late = age.to_std().unwrap_or_default() / 8;
    soon.max(late).min(LONGEST_BETWEEN_TRIES)
}

const fn policy_of(error: &StripeError) -> RetryPolicy {
    error.class.retry_policy()
}

fn time(delay: Duration) -> TimeDelta {
    TimeDelta::from_std(delay).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_of_which_nobody_knows_the_maker_is_looked_at_ever_less_often() {
        let within = |age: TimeDelta| longest_until_try(age).as_secs();
        assert_eq!(within(TimeDelta::seconds(-5)), 0, "clocks differ");
        assert!(within(TimeDelta::seconds(10)) <= 5);
        assert_eq!(within(TimeDelta::minutes(1)), 15);
        assert_eq!(within(TimeDelta::hours(2)), 15 * 60);
        assert_eq!(within(TimeDelta::days(20)), 60 * 60);
        // The expected number of checks, at half of the longest pause, until the object counts as made by others.
        let (mut age, mut looks) = (TimeDelta::zero(), 0);
        while age < TimeDelta::days(1) {
            age += time(longest_until_try(age) / 2);
            looks += 1;
        }
        assert!(looks < 170, "{looks} looks at one object in a day");
    }
}
