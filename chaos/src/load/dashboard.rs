//! The users of Stripe's dashboard and the payers' banks: refunds and disputes that no request of ours caused.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::client::pick;
use super::journal::Journal;
use crate::seed;
use crate::world::World;

/// The name under which the disputes are counted.
pub(crate) const DISPUTES: &str = "disputes";
/// The name under which the refunds made in the dashboard are counted.
pub(crate) const DASHBOARD_REFUNDS: &str = "dashboard refunds";

/// Works until `stop`, then decides every open dispute.
pub(super) async fn run(world: Arc<World>, journal: Arc<Journal>, stop: CancellationToken) {
    let mut random = seed::stream(world.seed, "dashboard");
    let mut disputes: Vec<String> = Vec::new();
    while !stop.is_cancelled() {
        let pause = Duration::from_millis(random.random_range(500..2_500));
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
        let intent = pick(&mut random, &journal.book().paid).map(|paid| paid.intent.clone());
        let Some(intent) = intent else { continue };
        match random.random_range(0..4) {
            0..2 => {
                let amount = random.random_range(50..200);
                let refund = json!({ "payment_intent": intent, "amount": amount });
                if world.stripe.control("refunds", refund).await.is_ok() {
                    world.tally.count(DASHBOARD_REFUNDS, 1);
                }
            }
            2 => {
                let made = world
                    .stripe
                    .control("disputes", json!({ "payment_intent": intent }))
                    .await;
                if let Ok(made) = made
                    && let Some(id) = made.get("id").and_then(Value::as_str)
                {
                    world.tally.count(DISPUTES, 1);
                    disputes.push(id.to_owned());
                }
            }
            _ => {
                if let Some(id) = disputes.pop() {
                    decide(&world, &id, random.random_bool(0.5)).await;
                }
            }
        }
    }
    for id in disputes {
        decide(&world, &id, random.random_bool(0.5)).await;
    }
}

async fn decide(world: &World, id: &str, won: bool) {
    let status = if won { "won" } else { "lost" };
    for _ in 0..100 {
        let decided = world
            .stripe
            .control(&format!("disputes/{id}"), json!({ "status": status }))
            .await;
        if decided.is_ok() {
            return;
        }
        // The simulator is unreachable at the moment.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
