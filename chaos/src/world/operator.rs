//! What an operator does with the commands of wallet-worker.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use wallet_dev::stack::ProcessSpec;

use super::World;
use crate::programs::Program;

impl World {
    /// Runs a command of wallet-worker, bypassing every proxy; returns its exit code and its output.
    pub(crate) async fn operate(&self, args: &[&str]) -> Result<(i32, String)> {
        let workers = self.members(Program::Worker);
        let env = workers.first().context("no worker")?.env().clone();
        let log = self.folder().join("operator.log");
        let _ = std::fs::remove_file(&log);
        let mut running = ProcessSpec::new("operator", self.file(), &log)
            .args(args.iter().copied())
            .env(env.with("DATABASE_URL", self.database.url()))
            .spawn()?;
        let ended = running.wait(Duration::from_secs(60)).await?;
        let code = ended.context("it does not end")?.code();
        Ok((code.unwrap_or(-1), std::fs::read_to_string(&log)?))
    }

    /// Requeues every job that was parked because its workers died three times.
    pub(crate) async fn requeue_crashed(&self) -> Result<()> {
        let crashed =
            "SELECT id FROM jobs WHERE parked_at IS NOT NULL AND last_error LIKE 'started%without an end%'";
        let rows = self.database.connect().await?.query(crashed, &[]).await?;
        let ids: Vec<String> = rows.iter().map(|row| row.get::<_, i64>(0).to_string()).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let words: Vec<&str> = std::iter::once("requeue")
            .chain(ids.iter().map(String::as_str))
            .collect();
        let (code, said) = self.operate(&words).await?;
        ensure!(code == 0, "requeue ended with {code}: {said}");
        self.tally.count(
            "jobs parked after three deaths of their workers, requeued by the operator",
            u64::try_from(rows.len())?,
        );
        Ok(())
    }
}
