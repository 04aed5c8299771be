//! Listening for changes: one connection per process, made again whenever it is lost.

use std::convert::Infallible;
use std::time::Duration;

use diesel_async::RunQueryDsl;
use futures::StreamExt;
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::hub::{Hub, Watchlist};
use super::ids_of;
use crate::db::{DbError, DbOptions, PgConn, connect_once, sql};
use crate::error_chain::chain;
use crate::retry::RetryPolicy;

/// The time limit for making a connection.
const CONNECTED_WITHIN: Duration = Duration::from_secs(5);
/// After this much silence the server is pinged: a broken network is not reported by itself.
const SILENCE: Duration = Duration::from_secs(15);
/// The time limit for the server's answer to the ping.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// The pause before listening again after a loss; the first one is short or zero.
const AGAIN: RetryPolicy = RetryPolicy::new(Duration::from_millis(100), Duration::from_secs(5));

/// The changes in the database, as announced to this process; cheap to clone.
#[derive(Debug, Clone)]
pub struct Feed {
    hub: Hub,
}

impl Feed {
    /// Listens until `shutdown`; the database need not be reachable yet. The handle completes when the task has ended.
    ///
    /// `url` must lead to PostgreSQL itself: a pooler that lends connections for one transaction (PgBouncer's
    /// `pool_mode = transaction`) swallows the notifications.
    #[must_use]
    pub fn start(url: SecretString, shutdown: CancellationToken) -> (Self, JoinHandle<()>) {
        let hub = Hub::default();
        let task = tokio::spawn(run(url, hub.clone(), shutdown));
        (Self { hub }, task)
    }

    /// Creates a list of ids, for one reader that wants to be notified of their changes.
    #[must_use]
    pub fn watchlist(&self) -> Watchlist {
        self.hub.list()
    }
}

async fn run(url: SecretString, hub: Hub, shutdown: CancellationToken) {
    let mut failures = 0_u32;
    loop {
        let lost = tokio::select! {
            () = shutdown.cancelled() => return,
            lost = listen(url.expose_secret(), &hub, &mut failures) => lost,
        };
        let Err(error) = lost;
        if failures == 0 {
            tracing::warn!(error = %chain(&error), "changes are not heard of; those who watch look every few seconds");
        }
        failures = failures.saturating_add(1);
        let pause = AGAIN.delay(failures, &mut rand::rng());
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Listens until the connection is lost.
async fn listen(url: &str, hub: &Hub, failures: &mut u32) -> Result<Infallible, DbError> {
    let options = DbOptions {
        application_name: "wallet-api-feed",
        connect_timeout: CONNECTED_WITHIN,
        ..DbOptions::default()
    };
    let mut conn = connect_once(url, &options).await?;
    sql("LISTEN wallet_changes").execute(&mut conn).await?;
    tracing::debug!("listening for changes");
    *failures = 0;
    // Announcements before this moment were missed here.
    hub.wake_all();
    loop {
        let heard = timeout(SILENCE, next(&mut conn)).await;
        match heard {
            Ok(payload) => ids_of(&payload?).for_each(|id| hub.wake(id)),
            Err(_) => still_there(&mut conn).await?,
        }
    }
}

async fn next(conn: &mut PgConn) -> Result<String, DbError> {
    let mut notifications = std::pin::pin!(conn.notifications_stream());
    match notifications.next().await {
        Some(notification) => Ok(notification?.payload),
        None => Err(DbError::Unavailable("the connection was closed".into())),
    }
}

async fn still_there(conn: &mut PgConn) -> Result<(), DbError> {
    timeout(ANSWERED_WITHIN, sql("SELECT 1").execute(conn))
        .await
        .map_err(|elapsed| DbError::Unavailable(Box::new(elapsed)))??;
    Ok(())
}
