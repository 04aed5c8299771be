//! I3: after everything has healed, every request becomes final in time.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::world::World;

/// Marks findings that were late but did become final.
pub(crate) const LATE: &str = "all was final";

const OPEN: &str =
    "SELECT (SELECT count(*) FROM wallet_transactions WHERE status IN ('pending', 'processing'))
                         + (SELECT count(*) FROM jobs WHERE parked_at IS NULL)
                         + (SELECT count(*) FROM stripe_events WHERE state = 'received')";

const WHICH: &str = "SELECT t.id || ' ' || coalesce(t.flow, t.transaction_type::text) || ' ' || t.stage || ', changed ' || t.updated_at
                            || coalesce(', job ' || j.id || ' ' || j.kind || ' attempts ' || j.attempts || ' starts ' || j.starts || ' due ' || j.run_at
                                        || coalesce(' leased until ' || j.lease_until, '') || coalesce(' parked ' || j.parked_at, '')
                                        || coalesce(': ' || j.last_error, ''), ', no job')
                       FROM wallet_transactions t LEFT JOIN jobs j ON j.transaction_id = t.id
                      WHERE t.status IN ('pending', 'processing')
                     UNION ALL
                     SELECT 'job ' || j.id || ' ' || j.kind || ' attempts ' || j.attempts || ' starts ' || j.starts || ' due ' || j.run_at
                            || coalesce(' leased until ' || j.lease_until, '') || coalesce(' parked ' || j.parked_at, '')
                            || coalesce(': ' || j.last_error, '') || coalesce(' of ' || t.id || ' ' || t.stage, '')
                       FROM jobs j LEFT JOIN wallet_transactions t ON t.id = j.transaction_id
                      WHERE coalesce(t.status NOT IN ('pending', 'processing'), true)
                     UNION ALL
                     SELECT 'event ' || id || ' ' || type || ' ' || state FROM stripe_events WHERE state = 'received' LIMIT 20";

/// Waits until all is done. What is not done within `limit` is a violation; then waits for twice as long again, to see whether it ends at all.
pub(crate) async fn wait(world: &World, began: Instant, limit: Duration) -> Result<Duration> {
    let name = format!("I3 every request is final {} s after healing", limit.as_secs());
    let mut late: Option<Vec<String>> = None;
    loop {
        let open = world.database.number(OPEN).await.unwrap_or(i64::MAX);
        if open == 0 {
            let took = began.elapsed();
            match late {
                Some(which) => {
                    world.tally.count("requests final too late", 1);
                    let told = which
                        .into_iter()
                        .map(|one| format!("{one}; {LATE} after {} s", took.as_secs()));
                    world.tally.checked(&name, told);
                }
                None => world.tally.checked(&name, []),
            }
            return Ok(took);
        }
        if began.elapsed() > limit && late.is_none() {
            let mut open = which(world).await;
            if open.is_empty() {
                open.push("what was open ended while it was looked at".to_owned());
            }
            late = Some(open);
        }
        if began.elapsed() > limit * 3 {
            let told = which(world).await.into_iter().map(|one| format!("never: {one}"));
            world.tally.checked(&name, told);
            return Ok(began.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn which(world: &World) -> Vec<String> {
    let Ok(client) = world.database.connect().await else {
        return vec!["PostgreSQL does not answer".to_owned()];
    };
    match client.query(WHICH, &[]).await {
        Ok(rows) => rows.iter().map(|row| row.get(0)).collect(),
        Err(error) => vec![format!("PostgreSQL refuses: {error}")],
    }
}
