//! The scheduled checks: recent changes every minute; everything, and the ledger against Stripe, once a day. One of all workers makes each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;
use wallet_core::alarms::{self, AlarmKind, OpenAlarm};
use wallet_core::audit::Actor;
use wallet_core::config::ChecksConfig;
use wallet_core::db::DbError;
use wallet_core::error_chain::chain;
use wallet_core::money_out;
use wallet_core::reconcile::{self, ReconcileError, Reconciliation};
use wallet_core::verify::{self, Finding, Scheduled, Scope, Verified, Window};

use crate::worker::Worker;

/// The interval at which due checks are looked for.
const EVERY: Duration = Duration::from_secs(1);
/// How often a running comparison with Stripe marks its progress; after half an hour without a mark, another worker begins it again.
const KEEP_EVERY: Duration = Duration::from_secs(60);
/// The number of violations that an alarm names.
const NAMED_VIOLATIONS: u32 = 5;
/// The maximum number of unexplained differences that get an alarm each.
const MOST_DIFFERENCES: usize = 50;
/// How long money must be missing from the platform's balance without a booking before money-out is stopped:
/// a dispute or a refund moves money before it is reported, and the list of events is read once a minute.
const TAKEN_FOR: TimeDelta = TimeDelta::seconds(60);
/// The number of failures in a row after which an alarm says that a check cannot be made.
const FAILURES_TOLD: u32 = 3;

/// Works until `shutdown`. A check that is interrupted only reads, or is begun again by another worker.
pub(crate) async fn run(worker: Arc<Worker>, config: ChecksConfig, shutdown: CancellationToken) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = check(&worker, &config) => {}
        // This may take an hour; the others must not wait for it.
        () = compare(&worker, &config) => {}
        // Whether money was taken must not wait for the database to be checked.
        () = keep_backed(&worker, &config) => {}
    }
}

async fn check(worker: &Worker, config: &ChecksConfig) {
    let mut failures = Failures::default();
    loop {
        round(worker, config, &mut failures).await;
        tokio::time::sleep(EVERY).await;
    }
}

async fn keep_backed(worker: &Worker, config: &ChecksConfig) {
    let mut failures = Failures::default();
    loop {
        let done = check_backing(worker, config).await;
        let done = done.map_err(|error| chain(&error).to_string());
        failures.note(worker, Scheduled::Backing, done).await;
        tokio::time::sleep(EVERY).await;
    }
}

async fn compare(worker: &Worker, config: &ChecksConfig) {
    let mut failures = Failures::default();
    loop {
        let done = compare_with_stripe(worker, config).await;
        let done = done.map_err(|error| chain(&error).to_string());
        failures.note(worker, Scheduled::Reconcile, done).await;
        tokio::time::sleep(EVERY).await;
    }
}

async fn round(worker: &Worker, config: &ChecksConfig, failures: &mut Failures) {
    for what in [Scheduled::Quick, Scheduled::Complete] {
        let done = check_books(worker, config, what).await;
        let done = done.map_err(|error| chain(&error).to_string());
        failures.note(worker, what, done).await;
    }
}

/// How often in a row each check failed.
#[derive(Default)]
struct Failures(BTreeMap<&'static str, u32>);

impl Failures {
    /// Notes whether a check was made, or why it could not be. A check that keeps failing raises an alarm: an
    /// invariant that is not checked is not known to hold.
    async fn note(&mut self, worker: &Worker, what: Scheduled, done: Result<bool, String>) {
        let name = what.as_str();
        let failed = self.0.entry(name).or_default();
        let told = match done {
            Ok(false) => return,
            Ok(true) => {
                *failed = 0;
                close_not_made(worker, name).await
            }
            Err(error) => {
                *failed = failed.saturating_add(1);
                tracing::warn!(check = name, error, failed, "a check could not be made");
                if *failed < FAILURES_TOLD {
                    return;
                }
                raise_not_made(worker, name, &error).await
            }
        };
        // PostgreSQL itself may be away: readiness reports that, and the next failure tries again.
        if let Err(error) = told {
            tracing::debug!(error = %chain(&error), "an alarm could not be written");
        }
    }
}

async fn raise_not_made(worker: &Worker, name: &str, error: &str) -> Result<(), DbError> {
    let message = format!("the check could not be made again and again: {error}");
    let conn = &mut worker.db.conn().await?;
    alarms::raise(conn, AlarmKind::CheckNotMade, name, &message, worker.clock.now())
        .await
        .map(drop)
}

async fn close_not_made(worker: &Worker, name: &str) -> Result<(), DbError> {
    let conn = &mut worker.db.conn().await?;
    alarms::close(conn, AlarmKind::CheckNotMade, name, worker.clock.now())
        .await
        .map(drop)
}

/// Claims a check if it is due. While PostgreSQL is away, this is unknown and counts as no failure of the check.
async fn begin(worker: &Worker, what: Scheduled, every: TimeDelta) -> Option<Window> {
    match verify::begin(&worker.db, what, every, worker.clock.now()).await {
        Ok(window) => window,
        Err(error) => {
            tracing::debug!(check = what.as_str(), error = %chain(&error), "it is not known whether a check is due");
            None
        }
    }
}

/// Compares the ledger with Stripe, if that is due.
async fn compare_with_stripe(worker: &Worker, config: &ChecksConfig) -> Result<bool, ReconcileError> {
    let now = worker.clock.now();
    let Some(every) = config.reconcile else {
        return Ok(false);
    };
    if begin(worker, Scheduled::Reconcile, every).await.is_none() {
        return Ok(false);
    }
    let actor = Actor::Worker(worker.name.clone());
    let mut before = open_alarms(worker, AlarmKind::ReconciliationDiffers).await?;
    let since = now - reconcile::USUAL_PERIOD;
    let budget = worker.call_budget;
    let found = tokio::select! {
        found = reconcile::reconcile(&worker.db, &worker.calls, budget, &actor, since, now, |_| {}) => found?,
        () = keep_begun(worker) => return Ok(false),
    };
    report_differences(worker, &found).await?;
    before.retain(|alarm| !found.may_still_differ(&alarm.subject));
    close_settled(worker, &before).await?;
    if config.stops_on_differences && !found.is_quiet() {
        stop_money_out(worker, "the books and Stripe differ").await?;
    }
    verify::end(&worker.db, Scheduled::Reconcile, None, worker.clock.now()).await?;
    tracing::info!(
        movements = found.movements,
        matched = found.matched,
        differences = found.differences.len(),
        explained = found.is_explained(),
        "the books were compared with Stripe"
    );
    Ok(true)
}

/// Marks the comparison as under way for the other workers, for as long as it takes.
async fn keep_begun(worker: &Worker) {
    loop {
        tokio::time::sleep(KEEP_EVERY).await;
        if let Err(error) = verify::keep(&worker.db, Scheduled::Reconcile, worker.clock.now()).await {
            tracing::debug!(error = %chain(&error), "the others could not be told that the comparison goes on");
        }
    }
}

/// Checks whether Stripe holds what the wallets hold, if that is due.
async fn check_backing(worker: &Worker, config: &ChecksConfig) -> Result<bool, ReconcileError> {
    let Some(every) = config.backing else {
        return Ok(false);
    };
    if begin(worker, Scheduled::Backing, every).await.is_none() {
        return Ok(false);
    }
    let before = open_alarms(worker, AlarmKind::PlatformBalanceShort).await?;
    let taken_before = open_alarms(worker, AlarmKind::PlatformBalanceTaken).await?;
    let reserved_before = open_alarms(worker, AlarmKind::PlatformBalanceReserved).await?;
    let now = worker.clock.now();
    let mut stops = Vec::new();
    for backing in reconcile::backing(&worker.db, &worker.calls, worker.call_budget).await? {
        let code = backing.currency.code();
        if let Some(kept) = backing.kept_back() {
            let message = format!(
                "Stripe keeps {} of the platform's balance back in reserve, {} of it the wallets': what they send may wait for it; pay that in, or ask Stripe",
                backing.currency.written(backing.reserved),
                backing.currency.written(kept)
            );
            alarms::raise(
                &mut *worker.db.conn().await?,
                AlarmKind::PlatformBalanceReserved,
                code,
                &message,
                now,
            )
            .await?;
        }
        let Some(missing) = backing.missing() else {
            continue;
        };
        let message = format!(
            "Stripe holds {} for the platform, the wallets hold {}: pay in {} (top up the balance at Stripe)",
            backing.currency.written(backing.held),
            backing.currency.written(backing.wallets),
            backing.currency.written(missing)
        );
        let conn = &mut worker.db.conn().await?;
        alarms::raise(conn, AlarmKind::PlatformBalanceShort, code, &message, now).await?;
        let mut is_taken = false;
        if backing.was_taken() {
            alarms::raise(conn, AlarmKind::PlatformBalanceTaken, code, &message, now).await?;
            let since = taken_before.iter().find(|alarm| alarm.subject == code);
            is_taken = since.is_some_and(|alarm| now - alarm.raised_at >= TAKEN_FOR);
        }
        if (is_taken && config.stops_on_violations) || config.stops_on_shortages {
            stops.push(message);
        }
    }
    close_settled(worker, &before).await?;
    close_settled(worker, &taken_before).await?;
    close_settled(worker, &reserved_before).await?;
    if !stops.is_empty() {
        stop_money_out(worker, &stops.join("; ")).await?;
    }
    verify::end(&worker.db, Scheduled::Backing, None, worker.clock.now()).await?;
    Ok(true)
}

/// Returns the open alarms of a kind, before a check that may find them settled.
async fn open_alarms(worker: &Worker, kind: AlarmKind) -> Result<Vec<OpenAlarm>, DbError> {
    alarms::open_of(&mut *worker.db.conn().await?, kind).await
}

/// Closes the alarms that neither this check nor any other process has raised again since the check began.
async fn close_settled(worker: &Worker, before: &[OpenAlarm]) -> Result<(), DbError> {
    let conn = &mut worker.db.conn().await?;
    for alarm in before {
        alarms::close_unless_seen_again(conn, alarm, worker.clock.now()).await?;
    }
    Ok(())
}

async fn report_differences(worker: &Worker, found: &Reconciliation) -> Result<(), DbError> {
    let now = worker.clock.now();
    let conn = &mut worker.db.conn().await?;
    for difference in found.alarming().take(MOST_DIFFERENCES) {
        alarms::raise(
            conn,
            AlarmKind::ReconciliationDiffers,
            &difference.about(),
            &difference.in_words(),
            now,
        )
        .await?;
    }
    for figure in found.figures.iter().filter(|figure| figure.differs()) {
        let code = figure.currency.code();
        let message = format!(
            "nothing explains {} of the balance at Stripe; all entries sum to {}",
            figure.currency.written(figure.rest),
            figure.currency.written(figure.all)
        );
        alarms::raise(conn, AlarmKind::ReconciliationDiffers, code, &message, now).await?;
    }
    Ok(())
}

async fn check_books(worker: &Worker, config: &ChecksConfig, what: Scheduled) -> Result<bool, DbError> {
    let every = match what {
        Scheduled::Quick => config.quick,
        Scheduled::Complete => config.complete,
        Scheduled::Reconcile | Scheduled::Backing => None,
    };
    let Some(every) = every else {
        return Ok(false);
    };
    let Some(window) = begin(worker, what, every).await else {
        return Ok(false);
    };
    let is_complete = what == Scheduled::Complete;
    let scope = if is_complete {
        Scope::Complete
    } else {
        Scope::Quick(window)
    };
    let before = open_alarms(worker, AlarmKind::InvariantViolated).await?;
    let verified = verify::verify(&worker.db, scope, NAMED_VIOLATIONS, |_, _| {}).await?;
    tell(worker, &verified).await?;
    if config.stops_on_violations && verified.risks_money() {
        let violated: Vec<&str> = verified
            .violated()
            .filter(|finding| finding.check.money)
            .map(|finding| finding.check.name)
            .collect();
        stop_money_out(worker, &format!("violated: {}", violated.join(", "))).await?;
    }
    // This comes after money-out was stopped, since rechecking earlier alarms may take long.
    if is_complete {
        close_settled(worker, &before).await?;
    } else {
        close_mended(worker, &before, &verified).await;
    }
    let seen = (!is_complete).then_some(verified.seen);
    verify::end(&worker.db, what, seen, worker.clock.now()).await?;
    tracing::debug!(
        check = what.as_str(),
        transactions = verified.transactions,
        wallets = verified.wallets,
        took = ?verified.took,
        "the books were checked"
    );
    Ok(true)
}

/// Closes the alarms about invariants that hold again. A quick check reads only what has changed, so a violation that it does
/// not find may persist: each such invariant is checked in full. One that takes too long for that is left to the complete check.
async fn close_mended(worker: &Worker, before: &[OpenAlarm], verified: &Verified) {
    for alarm in before {
        if verified
            .violated()
            .any(|finding| finding.check.name == alarm.subject)
        {
            continue;
        }
        let Some(check) = verify::all().find(|check| check.name == alarm.subject) else {
            continue;
        };
        let closed = match verify::verify_one(&worker.db, check, NAMED_VIOLATIONS).await {
            Ok(finding) if finding.violations == 0 => {
                close_settled(worker, std::slice::from_ref(alarm)).await
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = closed {
            tracing::info!(check = check.name, error = %chain(&error), "it is not known whether an invariant holds again");
        }
    }
}

/// Raises an alarm for each check that does not hold.
async fn tell(worker: &Worker, verified: &Verified) -> Result<(), DbError> {
    let now = worker.clock.now();
    let conn = &mut worker.db.conn().await?;
    for finding in &verified.findings {
        let name = finding.check.name;
        if finding.violations > 0 {
            tracing::error!(
                check = name,
                violations = finding.violations,
                "an invariant is violated"
            );
            alarms::raise(conn, AlarmKind::InvariantViolated, name, &in_words(finding), now).await?;
        }
    }
    Ok(())
}

async fn stop_money_out(worker: &Worker, reason: &str) -> Result<(), DbError> {
    let actor = Actor::Worker(worker.name.clone());
    if money_out::stop(&worker.db, &actor, reason, worker.clock.now()).await? {
        tracing::error!(reason, "money-out is stopped");
    }
    Ok(())
}

fn in_words(finding: &Finding) -> String {
    format!(
        "not so: {} ({} violations): {}",
        finding.check.means,
        finding.violations,
        finding.first.join("; ")
    )
}
