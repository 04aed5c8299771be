//! A system under steady load that somebody reads all the while: what kill table and recovery times work on.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wallet_dev::stack::Env;

use crate::check;
use crate::load::{Amount, Load};
use crate::random::FINAL_WITHIN;
use crate::tally::{Counts, Tally};
use crate::world::{Wanted, World};

/// A world with load and a reader.
pub(crate) struct Session {
    /// The system.
    pub(crate) world: Arc<World>,
    /// What is counted.
    pub(crate) tally: Tally,
    load: Load,
    reading: CancellationToken,
    reader: JoinHandle<()>,
}

impl Session {
    /// Starts one; `everybody`: with dashboard and rude clients.
    pub(crate) async fn start(seed: u64, folder: &Path, wanted: Wanted, pause: Duration) -> Result<Self> {
        let _ = std::fs::remove_dir_all(folder);
        let tally = Tally::default();
        let world = World::start(seed, tally.clone(), folder, wanted).await?;
        let amount = Amount {
            clients: 4,
            pause,
            everybody: false,
        };
        let load = Load::start(&world, amount).await?;
        let reading = CancellationToken::new();
        let reader = check::reader::start(&world, Duration::from_secs(2), reading.clone());
        Ok(Self {
            world,
            tally,
            load,
            reading,
            reader,
        })
    }

    /// How many transactions that were accepted before are not final yet; `None` when nobody can tell.
    pub(crate) async fn unfinished_of(&self, before: &str) -> Option<i64> {
        let sql = format!(
            "SELECT count(*) FROM wallet_transactions WHERE status IN ('pending', 'processing') AND created_at < '{before}'"
        );
        self.world.database.number(&sql).await.ok()
    }

    /// Now, as SQL takes it.
    pub(crate) fn now() -> String {
        chrono::Utc::now().to_rfc3339()
    }

    /// How long until everything that was accepted before is final.
    pub(crate) async fn drained(&self, before: &str, limit: Duration) -> Option<Duration> {
        let start = Instant::now();
        while start.elapsed() < limit {
            if self.unfinished_of(before).await == Some(0) {
                return Some(start.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        None
    }

    /// Everything heals, ends and is checked.
    pub(crate) async fn end(mut self, parked: i64) -> Result<Counts> {
        self.world.mend().await?;
        self.world.stripe.heal().await?;
        for member in &self.world.members {
            member.order(Env::new());
            member.start().await?;
        }
        let healed = Instant::now();
        let answered = self.load.stop_asking(FINAL_WITHIN).await;
        let unanswered = answered.err().map(|error| format!("{error:#}"));
        self.tally
            .checked("every request is answered after healing", unanswered);
        check::rest::wait(&self.world, healed, FINAL_WITHIN).await?;
        self.reading.cancel();
        let _ = self.reader.await;
        check::all(&self.world, &self.load.journal, parked).await?;
        self.load.end().await;
        self.world.end().await;
        Ok(self.tally.counts())
    }
}
