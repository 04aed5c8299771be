//! A reader that checks the invariants throughout the run, bypassing every proxy.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wallet_core::db::{Db, DbOptions};

use super::books_in;
use crate::world::World;

/// The name under which complete snapshots are counted.
pub(crate) const SNAPSHOTS: &str = "snapshots checked during the run";

/// Starts the reader, which reads until `stop`.
pub(crate) fn start(world: &Arc<World>, every: Duration, stop: CancellationToken) -> JoinHandle<()> {
    let world = Arc::clone(world);
    tokio::spawn(async move {
        let mut connected: Option<(u16, Db)> = None;
        while !stop.is_cancelled() {
            let port = world.database.port();
            if connected.as_ref().is_none_or(|(to, _)| *to != port) {
                let options = DbOptions {
                    application_name: "chaos-reader",
                    writes: false,
                    pool_size: 1,
                    get_timeout: Duration::from_secs(3),
                    ..DbOptions::default()
                };
                connected = Db::connect(&world.database.url(), &options)
                    .await
                    .ok()
                    .map(|db| (port, db));
            }
            let done = match &connected {
                Some((_, db)) => tokio::time::timeout(Duration::from_secs(15), books_in(db, &world)).await,
                None => Ok(Err(anyhow::anyhow!("not connected"))),
            };
            match done {
                Ok(Ok(())) => world.tally.count(SNAPSHOTS, 1),
                _ => world.tally.count("snapshots that could not be read", 1),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(every) => {}
            }
        }
    })
}
