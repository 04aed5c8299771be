//! Clients that create load of every kind of transaction, payers, the users of Stripe's dashboard, and rude clients.

mod ask;
mod client;
mod dashboard;
pub(crate) mod journal;
pub(crate) mod person;
mod rude;
mod single;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::future::try_join_all;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use self::dashboard::{DASHBOARD_REFUNDS, DISPUTES};
use self::journal::Journal;
use self::person::Person;
pub(crate) use self::person::SENDER;
pub(crate) use self::single::Single;
use crate::world::World;

/// The faults that are part of the load, whatever faults are chosen.
pub(crate) const FAULTS: &[&str] = &[client::HANGS_UP, rude::FAULT];

/// The amount of load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amount {
    /// The number of clients at once.
    pub(crate) clients: usize,
    /// The longest pause between two requests of one client.
    pub(crate) pause: Duration,
    /// Whether the dashboard, disputes and rude clients take part.
    pub(crate) everybody: bool,
}

/// Running load.
#[derive(Debug)]
pub(crate) struct Load {
    /// The requests and their answers.
    pub(crate) journal: Arc<Journal>,
    /// The people who make requests.
    pub(crate) people: Arc<Vec<Person>>,
    asking: CancellationToken,
    watching: CancellationToken,
    askers: Vec<JoinHandle<()>>,
    watchers: Vec<JoinHandle<()>>,
}

impl Load {
    /// Makes people with money, and starts the load.
    pub(crate) async fn start(world: &Arc<World>, amount: Amount) -> Result<Self> {
        let journal = Arc::new(Journal::default());
        let people = Arc::new(person::crowd(world, &journal).await?);
        let (asking, watching) = (CancellationToken::new(), CancellationToken::new());
        let mut askers = Vec::new();
        for number in 0..amount.clients {
            let client = client::Client::new(world, &people, &journal, number, amount.pause);
            askers.push(tokio::spawn(client.run(asking.clone())));
        }
        if amount.everybody {
            askers.push(tokio::spawn(dashboard::run(
                Arc::clone(world),
                Arc::clone(&journal),
                asking.clone(),
            )));
            askers.push(tokio::spawn(rude::run(
                Arc::clone(world),
                Arc::clone(&people),
                asking.clone(),
            )));
        }
        let watchers = (0..people.len())
            .map(|number| {
                let watching = watching.clone();
                tokio::spawn(watch::run(
                    Arc::clone(world),
                    Arc::clone(&people),
                    number,
                    Arc::clone(&journal),
                    watching,
                ))
            })
            .collect();
        Ok(Self {
            journal,
            people,
            asking,
            watching,
            askers,
            watchers,
        })
    }

    /// Stops new requests; those without an answer are repeated until they have one.
    pub(crate) async fn stop_asking(&mut self, patience: Duration) -> Result<()> {
        self.asking.cancel();
        let start = Instant::now();
        for asker in &mut self.askers {
            let left = patience.saturating_sub(start.elapsed());
            if tokio::time::timeout(left, asker).await.is_err() {
                bail!("a client has no answer to its request after {patience:?}");
            }
        }
        Ok(())
    }

    /// Ends the watchers too.
    pub(crate) async fn end(self) {
        self.asking.cancel();
        self.watching.cancel();
        for task in self.askers {
            task.abort();
        }
        let _ = try_join_all(self.watchers).await;
    }
}
