//! Faults of Stripe and its webhooks. Reached is the number of times that the simulator's rules were hit; for
//! reordered events, the number of events that were received out of order.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::hold;
use crate::world::{Service, World};

const OUTAGE: &str = "F15 connections to Stripe are refused";

/// The number of hits until which a fault continues, for at most the longest time.
const ENOUGH: u64 = 2;
const LONGEST: Duration = Duration::from_secs(8);

/// Webhooks that never come.
pub(super) const LOST: &str = "F22 webhooks lost";

const REORDERED: &str = "F19 webhooks reordered";

/// All faults of Stripe.
pub(super) const FAULTS: &[&str] = &[
    "F13 answer lost after the effect",
    "F13 no answer after the effect",
    "F13 connection lost before the effect",
    "F14 key in use",
    "F15 429",
    OUTAGE,
    "F16 500 without effect, kept under the key",
    "F16 500 with effect, kept under the key",
    "F16 503",
    "F18 webhooks ten times",
    REORDERED,
    "F21 webhooks late",
    LOST,
    "F36 Stripe is slow",
];

/// Faults that occur only if they are chosen by name: what Stripe refuses for no reason rightly raises alarms.
pub(crate) const ON_REQUEST: &[&str] = &["F17 Stripe refuses transfers and refunds"];

fn rule(fault: &str) -> Option<(&'static str, Value)> {
    let request = |outcome: &str, share: f64| {
        Some((
            "faults",
            json!({ "method": "POST", "outcome": outcome, "probability": share }),
        ))
    };
    let webhook = |what: Value| Some(("webhook_faults", what));
    match fault {
        "F13 answer lost after the effect" => request("drop_after", 0.5),
        "F13 no answer after the effect" => request("hang_after", 0.3),
        "F13 connection lost before the effect" => request("drop_before", 0.5),
        "F14 key in use" => request("key_in_use", 0.5),
        "F15 429" => request("rate_limit", 0.7),
        "F16 500 without effect, kept under the key" => request("error_500", 0.4),
        "F16 500 with effect, kept under the key" => request("error_500_after_effect", 0.4),
        "F16 503" => request("error_503", 0.5),
        "F18 webhooks ten times" => webhook(json!({ "duplicate": 9 })),
        REORDERED => webhook(json!({ "reorder_ms": 1_500 })),
        "F21 webhooks late" => webhook(json!({ "delay_ms": 4_000 })),
        LOST => webhook(json!({ "drop": true, "probability": 0.5 })),
        "F17 Stripe refuses transfers and refunds" => Some((
            "faults",
            json!({ "operation": "*f*.create", "outcome": "error_400", "probability": 0.5 }),
        )),
        "F36 Stripe is slow" => Some(("faults", json!({ "latency_ms": 2_500 }))),
        _ => None,
    }
}

/// Makes Stripe misbehave for a while.
pub(super) async fn carry_out(world: &World, fault: &str, random: &mut ChaCha8Rng) -> Result<u64> {
    if fault == OUTAGE {
        let refused = || {
            let links = world.links(|service| service == Service::Stripe);
            links.iter().map(|link| link.refused()).sum::<u64>()
        };
        let before = refused();
        let start = Instant::now();
        loop {
            let length = random.random_range(1_000..3_000);
            world.stripe.control("outage", json!({ "ms": length })).await?;
            tokio::time::sleep(Duration::from_millis(length + 200)).await;
            let refused = refused().saturating_sub(before);
            if refused > 0 || start.elapsed() > LONGEST {
                return Ok(refused);
            }
        }
    }
    let Some((list, rule)) = rule(fault) else {
        bail!("{fault} is no fault of Stripe's");
    };
    if fault == REORDERED {
        return reordered(world, rule, random).await;
    }
    let id = world.stripe.fault(list, rule).await?;
    hold(random, 500..2_000).await;
    // While PostgreSQL is away, Stripe receives no calls: the fault continues until it has affected some.
    let start = Instant::now();
    while start.elapsed() < LONGEST && world.stripe.hits(list, id).await? < ENOUGH {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.stripe.call_off(list, id).await
}

/// Reached if events of one payment, or of one other object, were received in another order than Stripe made them.
async fn reordered(world: &World, rule: Value, random: &mut ChaCha8Rng) -> Result<u64> {
    let key = &world.secrets.stripe_key;
    let newest = world.stripe.events(key, None).await?;
    let known = newest.first().map(|(id, _)| id.as_str());
    let id = world.stripe.fault("webhook_faults", rule).await?;
    hold(random, 1_500..2_500).await;
    let start = Instant::now();
    let found = loop {
        let mut made = world.stripe.events(key, known).await?;
        made.reverse();
        let found = overtaken(&made, &world.stripe.look("deliveries").await?);
        if found > 0 || start.elapsed() > LONGEST {
            break found;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    };
    world.stripe.call_off("webhook_faults", id).await?;
    Ok(found)
}

/// Counts those of these events, given in the order in which they were made, that were first received after a later one of the same object.
fn overtaken(made: &[(String, String)], deliveries: &Value) -> u64 {
    let order: HashMap<&str, (usize, &str)> = made
        .iter()
        .enumerate()
        .map(|(at, (event, object))| (event.as_str(), (at, object.as_str())))
        .collect();
    let mut latest: HashMap<&str, usize> = HashMap::new();
    let mut taken: HashSet<&str> = HashSet::new();
    let mut overtaken = 0;
    for delivery in deliveries.as_array().into_iter().flatten() {
        let status = delivery.get("status").and_then(Value::as_u64);
        let event = delivery.get("event").and_then(Value::as_str).unwrap_or_default();
        let Some((at, object)) = order.get(event).copied() else {
            continue;
        };
        if !matches!(status, Some(200..300)) || !taken.insert(event) {
            continue;
        }
        let latest = latest.entry(object).or_insert(at);
        if *latest > at {
            overtaken += 1;
        }
        *latest = (*latest).max(at);
    }
    overtaken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_order_of_one_objects_events_counts() {
        let made =
            [("a", "x"), ("b", "x"), ("c", "y")].map(|(event, object)| (event.to_owned(), object.to_owned()));
        let taken = |events: &[&str]| {
            let taken = events
                .iter()
                .map(|event| json!({ "event": event, "status": 200 }));
            overtaken(&made, &Value::Array(taken.collect()))
        };
        assert_eq!(taken(&["c", "a", "b", "a"]), 0);
        assert_eq!(taken(&["b", "c", "a"]), 1);
        assert_eq!(
            overtaken(&made, &json!([{ "event": "b" }, { "event": "a", "status": 200 }])),
            0
        );
    }
}
