//! I8 and I22: nothing is left behind, and every event that was received is stored.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;

use crate::clock;
use crate::load::{DASHBOARD_REFUNDS, DISPUTES};
use crate::nemesis::CHECKERS;
use crate::world::World;

/// The maximum number of keys in the queue's Redis at rest: names of workers, counters, caches; no tasks.
const MOST_KEYS: u64 = 400;

/// Checks both invariants.
pub(super) async fn check(world: &World, parked: i64) -> Result<()> {
    let database = &world.database;
    let count = async |sql: &str| database.number(sql).await;
    let none = |what: &str, number: i64| (number != 0).then(|| format!("{number} {what}"));

    let idle = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    let mut open = count(idle).await?;
    for _ in 0..20 {
        // A transaction that is about to commit is no leak.
        if open == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        open = count(idle).await?;
    }
    world.tally.checked(
        "I22 no transaction is left open",
        none("sessions are idle in transaction", open),
    );
    let locks = count("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").await?;
    world.tally.checked(
        "I22 no advisory lock is left",
        none("advisory locks are held", locks),
    );
    let waiting = count("SELECT count(*) FROM stripe_events WHERE state IN ('received', 'parked')").await?;
    world.tally.checked(
        "I8 every event is processed",
        none("events are not processed", waiting),
    );
    let found = count("SELECT count(*) FROM jobs WHERE parked_at IS NOT NULL").await?;
    world.tally.checked(
        "I3 nothing is parked but poison",
        (found != parked).then(|| format!("{found} jobs are parked, expected {parked}")),
    );
    alarms(world, parked).await?;

    let mut differs = world.operate(&["reconcile"]).await?;
    let asked = Instant::now();
    while differs.0 != 0 && asked.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_secs(2)).await;
        differs = world.operate(&["reconcile"]).await?;
    }
    let told = (differs.0 != 0).then(|| format!("exit code {}: {}", differs.0, differs.1.trim()));
    world
        .tally
        .checked("I1 reconcile explains every difference from Stripe", told);

    let start = Instant::now();
    let keys = loop {
        let keys = world.queue.keys().await?;
        // Finished tasks are removed within seconds.
        if keys <= MOST_KEYS || start.elapsed() > Duration::from_secs(15) {
            break keys;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    };
    world.tally.checked(
        "I22 the memory of the queue's Redis is bounded",
        (keys > MOST_KEYS).then(|| format!("{keys} keys are left")),
    );

    let delivered = world.stripe.look("deliveries").await?;
    let mut lost = Vec::new();
    let client = database.connect().await?;
    for attempt in delivered.as_array().into_iter().flatten() {
        let status = attempt.get("status").and_then(Value::as_u64);
        let event = attempt.get("event").and_then(Value::as_str);
        if let (Some(200..300), Some(event)) = (status, event)
            && client
                .query_opt("SELECT 1 FROM stripe_events WHERE id = $1", &[&event])
                .await?
                .is_none()
        {
            lost.push(format!("{event} was taken and is not there"));
        }
    }
    world
        .tally
        .checked("I8 every event that was taken is stored", lost);
    Ok(())
}

/// Checks that no alarm is open except those with a real cause.
async fn alarms(world: &World, parked: i64) -> Result<()> {
    // A check that PostgreSQL's faults prevented closes its alarm when it is next made, which for most checks is a day later.
    let unmade = "SELECT count(*) FROM alarms WHERE closed_at IS NULL AND kind = 'check_not_made'";
    if world.database.number(unmade).await? > 0 {
        world
            .tally
            .count("checks of the books that faults kept from being made", 1);
        let due = "UPDATE verifications SET asked_at = asked_at - interval '8 days'";
        world.database.execute(due).await?;
        let asked = Instant::now();
        while world.database.number(unmade).await? > 0 && asked.elapsed() < Duration::from_secs(30) {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    let counts = world.tally.counts();
    let disputed = counts.numbers.contains_key(DISPUTES);
    let refunded_outside = counts.numbers.contains_key(DASHBOARD_REFUNDS);
    // Reconciliation is due once a day, so it runs amid faults only if a fault makes it due or a scenario
    // moves the clock. What it found then is checked again at the end.
    let reconciled = counts.faults.contains_key(CHECKERS)
        || world
            .members
            .iter()
            .any(|member| member.env().get(clock::FILE).is_some());
    let has_cause = |kind: &str| match kind {
        "job_parked" => parked > 0,
        "dispute_exceeds_payment" => disputed,
        // These are debts for money that payers took back after it was spent; the ledger's invariants check the amount.
        "debt_above_limit" => disputed || refunded_outside,
        "reconciliation_differs" => reconciled,
        _ => false,
    };
    let open = "SELECT kind, kind || ' ' || subject || ': ' || message FROM alarms WHERE closed_at IS NULL";
    let mut told = Vec::new();
    for row in world.database.connect().await?.query(open, &[]).await? {
        let (kind, alarm): (String, String) = (row.get(0), row.get(1));
        if has_cause(&kind) {
            world.tally.count(&format!("alarms with a cause: {kind}"), 1);
        } else {
            told.push(alarm);
        }
    }
    world.tally.checked("no alarm but about poison", told);
    Ok(())
}
