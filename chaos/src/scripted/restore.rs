//! F44: the database is restored from a backup, and Stripe has done more since. The difference must be found
//! before money goes out, and what the restored database holds must finish without a second effect.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;
use wallet_dev::pace;
use wallet_dev::stack::PostgresOptions;

use super::{Stage, until};
use crate::check;
use crate::load::Single;
use crate::programs::Program;
use crate::random::FINAL_WITHIN;
use crate::tally::Tally;
use crate::world::{Service, Wanted, World};

/// Transactions without a webhook are polled after a quiet minute.
const HEALED_WITHIN: Duration = Duration::from_secs(150);
/// The operations by which money leaves.
const OUT: [&str; 3] = ["transfer.create", "payout.create", "refund.create"];
/// What reconciliation reports about objects that only Stripe knows.
const NOT_OURS: &str = "ours, but not in these books";
const OPEN: &str = "SELECT count(*) FROM wallet_transactions WHERE status IN ('pending', 'processing')";
/// Limits `OPEN` to transactions that do not wait for money-out.
const NOT_OUT: &str = " AND coalesce(flow, transaction_type::text) NOT IN ('withdrawal', 'deposit_refund')";

pub(super) async fn play(folder: &Path, tally: &Tally) -> Result<String> {
    let mut stage = Stage::set(folder, tally, Wanted::default(), 4).await?;
    let world = std::sync::Arc::clone(&stage.world);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let backup = {
        let servers = world.database.servers().await;
        let options = PostgresOptions {
            fsync: true,
            ..PostgresOptions::default()
        };
        servers.primary.copy(false, options).await?
    };
    let by_then = world.stripe.effects().await?.len();
    let mut later = Vec::new();
    for person in 0..4 {
        later.push(stage.load.send(&world, Single::Withdrawal, person, 1_100).await?);
        later.push(stage.load.send(&world, Single::Deposit, person, 1_300).await?);
    }
    let stopped = Instant::now();
    stage.load.stop_asking(pace::scaled(FINAL_WITHIN)).await?;
    check::rest::wait(&world, stopped, pace::scaled(FINAL_WITHIN)).await?;
    ensure!(
        stage.with_status(&later, "completed").await? == later.len(),
        "what came after the backup is not done"
    );
    agreed(&world).await?;
    for member in &world.members {
        member.stop().await?;
    }
    let all = world.stripe.effects().await?;
    let since: BTreeSet<&str> = all
        .iter()
        .skip(by_then)
        .filter(|effect| effect.get("platform_change").and_then(Value::as_i64) != Some(0))
        .filter_map(transaction_of)
        .collect();
    ensure!(
        later.iter().all(|id| since.contains(id.to_string().as_str())),
        "the effect log does not tell what came after the backup"
    );

    let port = world.database.replace(backup).await?;
    world.redirect(Service::Database, port);
    let restored = world
        .database
        .number("SELECT count(*) FROM wallet_transactions")
        .await?;
    let unfinished = world.database.number(OPEN).await?;
    verified(&world, "before any worker runs").await?;
    let (code, told) = world.operate(&["reconcile"]).await?;
    let unnamed: Vec<&&str> = since.iter().filter(|id| !told.contains(**id)).collect();
    ensure!(
        code == 1 && unnamed.is_empty(),
        "reconcile ended with {code} and does not name {unnamed:?}: {told}"
    );

    ordered(
        &world,
        &["money-out", "stop", "--reason", "a backup was restored"],
    )
    .await?;
    let begun = world.stripe.effects().await?.len();
    for member in world.members(Program::Worker) {
        member.start().await?;
    }
    let inside = format!("{OPEN}{NOT_OUT}");
    until("all but money-out is done", HEALED_WITHIN, async || {
        Ok(world.database.number(&inside).await? == 0)
    })
    .await?;
    let effects = world.stripe.effects().await?;
    let out = effects.iter().skip(begun).filter_map(operation_of);
    let out: Vec<&str> = out.filter(|operation| OUT.contains(operation)).collect();
    ensure!(out.is_empty(), "money went out although it was stopped: {out:?}");

    ordered(
        &world,
        &["money-out", "start", "--reason", "every difference was looked at"],
    )
    .await?;
    let healed = until("all is done", HEALED_WITHIN, async || {
        Ok(world.database.number(OPEN).await? == 0)
    })
    .await?;
    let left = only_not_in_books(&world).await?;
    verified(&world, "at the end").await?;
    let twice = done_twice(&world.stripe.effects().await?);
    ensure!(twice.is_empty(), "effects were doubled: {}", twice.join(", "));
    stage.load.end().await;
    world.end().await;
    Ok(format!(
        "{restored} transactions were restored, {unfinished} of them unfinished, and verified before any worker ran; reconcile named all {} of \
         which Stripe did more since; with money-out stopped nothing went out; {} s after its start the unfinished were done, no effect twice, \
         and {left} differences are left, each {NOT_OURS:?}",
        since.len(),
        healed.as_secs()
    ))
}

fn transaction_of(effect: &Value) -> Option<&str> {
    effect.get("transaction_id").and_then(Value::as_str)
}

fn operation_of(effect: &Value) -> Option<&str> {
    effect.get("operation").and_then(Value::as_str)
}

async fn ordered(world: &World, words: &[&str]) -> Result<()> {
    let (code, said) = world.operate(words).await?;
    ensure!(code == 0, "{words:?} ended with {code}: {said}");
    Ok(())
}

async fn verified(world: &World, when: &str) -> Result<()> {
    let (code, said) = world.operate(&["verify"]).await?;
    ensure!(code == 0, "verify {when} ended with {code}: {said}");
    Ok(())
}

/// Waits until the ledger and Stripe agree; otherwise the differences after the restore would prove nothing.
async fn agreed(world: &World) -> Result<()> {
    until(
        "books and Stripe agree before the restore",
        Duration::from_secs(90),
        async || Ok(world.operate(&["reconcile"]).await?.0 == 0),
    )
    .await?;
    Ok(())
}

/// Waits until every remaining difference is about something that the restored database does not hold; returns how many there are.
async fn only_not_in_books(world: &World) -> Result<usize> {
    let start = Instant::now();
    loop {
        let (code, told) = world.operate(&["reconcile"]).await?;
        let differ: Vec<&str> = told.lines().filter(|line| line.contains("DIFFERS")).collect();
        let others: Vec<&&str> = differ.iter().filter(|line| !line.contains(NOT_OURS)).collect();
        if code == 1 && others.is_empty() {
            return Ok(differ.len());
        }
        ensure!(
            start.elapsed() < HEALED_WITHIN,
            "reconcile ends with {code} and tells more than what these books do not hold: {others:?}"
        );
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// Returns what our requests did more than once for a transaction.
fn done_twice(effects: &[Value]) -> Vec<String> {
    let mut done: HashMap<(&str, &str), u64> = HashMap::new();
    for effect in effects {
        let is_ours = effect.get("request_id").and_then(Value::as_str).is_some();
        if let (Some(id), Some(operation), true) = (transaction_of(effect), operation_of(effect), is_ours) {
            *done.entry((id, operation)).or_default() += 1;
        }
    }
    done.into_iter()
        .filter(|((_, operation), times)| *times > 1 && OUT.contains(operation))
        .map(|((id, operation), times)| format!("{operation} {times} times for {id}"))
        .collect()
}
