//! F13 and F15 over hours: moves the clocks of our programs and of Stripe while they run.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use wallet_dev::stack::Env;

use super::{Stage, until};
use crate::clock::{self, FILE};
use crate::load::Single;
use crate::tally::Tally;
use crate::world::Wanted;

struct Moved {
    stage: Stage,
    file: PathBuf,
    seconds: i64,
}

impl Moved {
    async fn set(folder: &Path, tally: &Tally) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let file = folder.join("clock");
        clock::set(&file, 0)?;
        let wanted = Wanted {
            env: Env::new().with(FILE, file.display().to_string()),
            ..Wanted::default()
        };
        let stage = Stage::set(folder, tally, wanted, 0).await?;
        stage
            .world
            .stripe
            .control("settings", json!({ "webhook_signature_clock": "simulator" }))
            .await?;
        Ok(Self {
            stage,
            file,
            seconds: 0,
        })
    }

    /// Lets time pass on every clock.
    async fn advance(&mut self, seconds: i64) -> Result<()> {
        self.seconds += seconds;
        clock::set(&self.file, self.seconds)?;
        self.stage
            .world
            .stripe
            .control("clock", json!({ "advance_seconds": seconds }))
            .await?;
        Ok(())
    }

    /// Lets minutes pass until everything is final; returns how many.
    async fn until_final(&mut self, most: u32) -> Result<u32> {
        for minute in 0..most {
            let open = "SELECT count(*) FROM wallet_transactions WHERE status IN ('pending', 'processing')";
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(1_200) {
                if self.stage.world.database.number(open).await? == 0 {
                    return Ok(minute);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            self.advance(60).await?;
        }
        anyhow::bail!("not everything is final after {most} minutes")
    }
}

/// Stripe carries out every call and no answer comes back, for longer than Stripe remembers keys.
pub(super) async fn answers_lost(folder: &Path, tally: &Tally) -> Result<String> {
    let mut moved = Moved::set(folder, tally).await?;
    let world = std::sync::Arc::clone(&moved.stage.world);
    let mut rules = Vec::new();
    for operation in [
        "payment_intents.create",
        "transfers.create",
        "payouts.create",
        "refunds.create",
    ] {
        rules.push(
            world
                .stripe
                .fault(
                    "faults",
                    json!({ "operation": operation, "outcome": "drop_after" }),
                )
                .await?,
        );
    }
    // Nothing else reveals the outcome either: no webhooks, no lists.
    for list in [
        "payment_intents",
        "transfers",
        "payouts",
        "refunds",
        "charges",
        "events",
        "balance_transactions",
    ] {
        let rule = json!({ "method": "GET", "path": format!("/v1/{list}*"), "outcome": "drop_before" });
        rules.push(world.stripe.fault("faults", rule).await?);
    }
    world
        .stripe
        .fault("webhook_faults", json!({ "drop": true }))
        .await?;
    let mut sent = Vec::new();
    for person in 0..6 {
        sent.push(
            moved
                .stage
                .load
                .send(&world, Single::Withdrawal, person, 700)
                .await?,
        );
        sent.push(
            moved
                .stage
                .load
                .send(&world, Single::Deposit, person, 900)
                .await?,
        );
    }
    until(
        "Stripe has been called for each",
        Duration::from_secs(60),
        async || {
            let effects = world.stripe.effects().await?;
            let known = |id: &uuid::Uuid| {
                let id = id.to_string();
                effects
                    .iter()
                    .any(|effect| effect.get("transaction_id").and_then(Value::as_str) == Some(id.as_str()))
            };
            Ok(sent.iter().filter(|id| known(id)).count() == sent.len())
        },
    )
    .await?;
    for _ in 0..50 {
        moved.advance(1_800).await?;
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    let open = moved.stage.with_status(&sent, "processing").await?
        + moved.stage.with_status(&sent, "pending").await?;
    ensure!(
        open == sent.len(),
        "{} of {} requests ended although nobody knows their outcome",
        sent.len() - open,
        sent.len()
    );
    let mut hits = 0;
    for rule in rules {
        hits += world.stripe.call_off("faults", rule).await?;
    }
    world.stripe.heal().await?;
    let minutes = moved.until_final(600).await?;
    let completed = moved.stage.with_status(&sent, "completed").await?;
    moved.stage.check(0).await?;
    ensure!(
        completed == sent.len(),
        "{completed} of {} are completed",
        sent.len()
    );
    Ok(format!(
        "{hits} calls had no answer in 25 hours; each request was completed once, {minutes} minutes after Stripe answered again"
    ))
}

/// Stripe throttles everything for ten minutes.
pub(super) async fn storm(folder: &Path, tally: &Tally) -> Result<String> {
    let mut moved = Moved::set(folder, tally).await?;
    let world = std::sync::Arc::clone(&moved.stage.world);
    let rule = world
        .stripe
        .fault("faults", json!({ "outcome": "rate_limit" }))
        .await?;
    let mut sent = Vec::new();
    for number in 0..50 {
        sent.push(
            moved
                .stage
                .load
                .send(&world, Single::Withdrawal, number % 8, 200)
                .await?,
        );
        sent.push(
            moved
                .stage
                .load
                .send(&world, Single::Deposit, number % 8, 300)
                .await?,
        );
    }
    for _ in 0..20 {
        moved.advance(30).await?;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    let hits = world.stripe.call_off("faults", rule).await?;
    let parked = world
        .database
        .number("SELECT count(*) FROM jobs WHERE parked_at IS NOT NULL")
        .await?;
    ensure!(parked == 0, "{parked} jobs were parked");
    let minutes = moved.until_final(30).await?;
    let completed = moved.stage.with_status(&sent, "completed").await?;
    moved.stage.check(0).await?;
    ensure!(
        completed == sent.len(),
        "{completed} of {} are completed",
        sent.len()
    );
    Ok(format!(
        "{hits} calls were throttled; all {completed} requests were completed, {minutes} minutes after the storm"
    ))
}
