//! Many transfers queued while no worker runs, then one worker.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::report::Line;
use crate::system::System;

pub(crate) async fn measure(transfers: usize) -> Result<Vec<Line>> {
    let system = System::start().await?;
    let mut first = system.stack.start_worker().await?;
    let funded = system.funded(20, "5000.00").await?;
    // The finished deposits are purged from Redis within seconds.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (keys_before, bytes_before) = system.queue_size().await?;
    first.stop().await?;

    let began = Instant::now();
    funded.send(transfers, 32).await?;
    let accepting = began.elapsed();
    let _worker = system.stack.start_worker().await?;
    let draining = system.all_completed(Duration::from_secs(300)).await?;
    let wrong = system
        .number("SELECT count(*) FROM wallet_transactions WHERE status <> 'completed'")
        .await?;
    let differ = system
        .number(
            "SELECT count(*) FROM wallets w WHERE balance <> (SELECT coalesce(sum(amount), 0) FROM ledger_entries e
              WHERE e.wallet_id = w.id AND account = 'wallet:available')",
        )
        .await?;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let (keys_after, bytes_after) = system.queue_size().await?;
    let count = u32::try_from(transfers).unwrap_or(u32::MAX);
    Ok(vec![
        Line::holds(
            format!("{transfers} transfers accepted without a worker"),
            format!("{:.0}/s", f64::from(count) / accepting.as_secs_f64()),
            "",
            true,
        ),
        Line::holds(
            "then drained by one worker",
            format!(
                "{:.1} s, {:.0}/s",
                draining.as_secs_f64(),
                f64::from(count) / draining.as_secs_f64()
            ),
            "all finish",
            wrong == 0,
        ),
        Line::holds(
            "wallets whose balance is not their ledger's",
            differ.to_string(),
            "0",
            differ == 0,
        ),
        Line::holds(
            "keys on the queue node, 30 s later",
            format!("{keys_after} ({keys_before})"),
            "as before",
            keys_after == keys_before,
        ),
        Line::holds(
            "growth of its data set, bytes",
            (bytes_after - bytes_before).to_string(),
            "< 1048576",
            bytes_after - bytes_before < 1_048_576,
        ),
    ])
}
