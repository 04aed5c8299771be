//! Checking the books by itself: what changed lately every minute, everything once a day. Of all workers one does it.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wallet_core::alarms;
use wallet_core::audit::Actor;
use wallet_core::config::ChecksConfig;
use wallet_core::db::DbError;
use wallet_core::money_out;
use wallet_core::telemetry::chain;
use wallet_core::verify::{self, Finding, Scheduled, Scope, Verified};

use crate::worker::Worker;

/// How often it is looked whether a check is due.
const EVERY: Duration = Duration::from_secs(1);
/// Violations told in an alarm.
const TOLD: u32 = 5;
/// The kind of the alarms about violated invariants.
const VIOLATED: &str = "invariant_violated";

/// Works until `shutdown`.
pub(crate) async fn run(worker: Arc<Worker>, config: ChecksConfig, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        // Whatever is under way only reads, or is begun again by another worker.
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = round(&worker, &config) => {}
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn round(worker: &Worker, config: &ChecksConfig) {
    for what in [Scheduled::Quick, Scheduled::Complete] {
        if let Err(error) = check_books(worker, config, what).await {
            tracing::warn!(check = what.as_str(), error = %chain(&error), "the books could not be checked");
        }
    }
}

async fn check_books(worker: &Worker, config: &ChecksConfig, what: Scheduled) -> Result<(), DbError> {
    let every = match what {
        Scheduled::Quick => config.quick,
        Scheduled::Complete => config.complete,
        Scheduled::Reconcile => None,
    };
    let Some(every) = every else {
        return Ok(());
    };
    let Some(window) = verify::begin(&worker.db, what, every, worker.clock.now()).await? else {
        return Ok(());
    };
    let is_complete = what == Scheduled::Complete;
    let scope = if is_complete {
        Scope::Complete
    } else {
        Scope::Quick(window)
    };
    let verified = verify::verify(&worker.db, scope, TOLD, |_, _| {}).await?;
    tell(worker, &verified, is_complete).await?;
    if config.stops_on_violations && verified.risks_money() {
        stop_money_out(worker, &verified).await?;
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
    Ok(())
}

/// Raises an alarm for each check that does not hold; of the complete set, closes those of the checks that do again.
async fn tell(worker: &Worker, verified: &Verified, is_complete: bool) -> Result<(), DbError> {
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
            alarms::raise(conn, VIOLATED, name, &in_words(finding), now).await?;
        } else if is_complete {
            alarms::close(conn, VIOLATED, name, now).await?;
        }
    }
    Ok(())
}

async fn stop_money_out(worker: &Worker, verified: &Verified) -> Result<(), DbError> {
    let violated: Vec<&str> = verified
        .violated()
        .filter(|finding| finding.check.money)
        .map(|finding| finding.check.name)
        .collect();
    let reason = format!("violated: {}", violated.join(", "));
    let actor = Actor::Worker(worker.name.clone());
    if money_out::stop(&worker.db, &actor, &reason, worker.clock.now()).await? {
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
