//! A system under steady load with a continuous reader: the basis of the kill table and of the recovery times.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wallet_dev::pace;
use wallet_dev::stack::Env;

use crate::check;
use crate::load::{Amount, Load, Single};
use crate::random::FINAL_WITHIN;
use crate::tally::{Counts, Tally};
use crate::world::{Wanted, World};

/// The name under which accepted requests are counted.
pub(crate) const ACCEPTED: &str = "requests accepted";

/// A world with load and a reader.
pub(crate) struct Session {
    /// The system.
    pub(crate) world: Arc<World>,
    /// The counts.
    pub(crate) tally: Tally,
    load: Load,
    reading: CancellationToken,
    reader: JoinHandle<()>,
}

impl Session {
    /// Starts a session, without the dashboard and rude clients.
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

    /// Sends this many withdrawals, which are then under way.
    pub(crate) async fn put_under_way(&self, count: usize) {
        let people = self.load.people.len();
        let sent = (0..count).map(|number| {
            self.load
                .send(&self.world, Single::Withdrawal, number % people, 150)
        });
        // A request without an answer is in the journal, like every request.
        let _ = futures::future::join_all(sent).await;
    }

    /// Returns the current time in the form that SQL takes.
    pub(crate) fn now() -> String {
        chrono::Utc::now().to_rfc3339()
    }

    /// Waits until every transaction that was accepted before this time is final; returns how long that took.
    pub(crate) async fn drained(&self, before: &str, limit: Duration) -> Option<Duration> {
        let sql = format!(
            "SELECT count(*) FROM wallet_transactions WHERE status IN ('pending', 'processing') AND created_at < '{before}'"
        );
        self.none_left(&sql, limit).await
    }

    /// Waits until all that existed before this time is done, also jobs and events without a waiting transaction; returns how long that took.
    pub(crate) async fn all_drained(&self, before: &str, limit: Duration) -> Option<Duration> {
        let sql = format!(
            "SELECT (SELECT count(*) FROM wallet_transactions WHERE status IN ('pending', 'processing') AND created_at < '{before}')
                  + (SELECT count(*) FROM jobs WHERE created_at < '{before}')
                  + (SELECT count(*) FROM stripe_events WHERE state = 'received' AND received_at < '{before}')"
        );
        self.none_left(&sql, limit).await
    }

    async fn none_left(&self, sql: &str, limit: Duration) -> Option<Duration> {
        let start = Instant::now();
        while start.elapsed() < limit {
            // While PostgreSQL is away, the query fails and is repeated.
            if self.world.database.number(sql).await.ok() == Some(0) {
                return Some(start.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        None
    }

    /// Heals everything, lets all work finish, and checks it.
    pub(crate) async fn end(mut self, parked: i64) -> Result<Counts> {
        self.world.fix().await?;
        self.world.stripe.heal().await?;
        for member in &self.world.members {
            member.order(Env::new());
            member.start().await?;
        }
        let healed = Instant::now();
        let answered = self.load.stop_asking(pace::scaled(FINAL_WITHIN)).await;
        let unanswered = answered.err().map(|error| format!("{error:#}"));
        self.tally
            .checked("every request is answered after healing", unanswered);
        check::rest::wait(&self.world, healed, pace::scaled(FINAL_WITHIN)).await?;
        self.reading.cancel();
        let _ = self.reader.await;
        check::all(&self.world, &self.load.journal, parked).await?;
        self.tally
            .count(ACCEPTED, u64::try_from(self.load.journal.accepted())?);
        self.load.end().await;
        self.world.end().await;
        Ok(self.tally.counts())
    }
}
