//! Accepts connections, with bounds on their number and on how long they may be idle.
//!
//! A connection costs its client nothing, so an idle one must not keep others out: a connection on which nothing happens is closed,
//! and sooner if its place is needed ([`Room`]).

mod descriptors;
mod service;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wallet_core::config::TrustedProxies;

use self::service::Noting;
use crate::places::{ClientAddress, Guest, Room};

/// How long a new connection may take to send its first request.
const BEGIN_WITHIN: Duration = Duration::from_secs(10);
/// How long a connection may be idle between two requests: longer than the minute for which load balancers usually keep theirs,
/// so that it is they who close and no request meets a closing connection. Also the time limit for the head of a later request.
const SILENT_FOR: Duration = Duration::from_secs(75);
/// How long a connection that is to end may take to close, once no request is under way.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);
/// The maximum number of connections, if the system provides enough descriptors.
const MOST_CONNECTIONS: usize = 4_096;
/// The share of the connections that one address may have, as a divisor.
const SHARE_OF_ONE: usize = 4;
/// The maximum number of simultaneous requests on an HTTP/2 connection.
const MOST_STREAMS: u32 = 100;
/// The pause after the system refused to accept, for lack of descriptors for example, or while every connection is busy.
const PAUSE: Duration = Duration::from_millis(50);

/// The connections of one server.
#[derive(Debug)]
pub(crate) struct Connections {
    room: Arc<Room>,
    proxies: TrustedProxies,
    /// Cancelled when connections are to end once their requests are answered.
    ending: CancellationToken,
    open: TaskTracker,
}

impl Connections {
    /// Starts without connections. Those from `proxies` carry the requests of many people.
    pub(crate) fn new(proxies: TrustedProxies) -> Self {
        let most = MOST_CONNECTIONS.min(descriptors::for_connections());
        Self::with_most(most, proxies)
    }

    fn with_most(most: usize, proxies: TrustedProxies) -> Self {
        Self {
            room: Room::new(most, most / SHARE_OF_ONE),
            proxies,
            ending: CancellationToken::new(),
            open: TaskTracker::new(),
        }
    }

    /// Accepts connections; never returns.
    pub(crate) async fn accept(&self, listener: &TcpListener, router: &Router) {
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    self.room.send_one_away();
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let address = ClientAddress::of_peer(peer.ip(), &self.proxies);
            let Some(guest) = self.place(address).await else {
                tracing::debug!(%peer, "connection closed: every one of this address is busy");
                continue;
            };
            self.open
                .spawn(serve(stream, peer, router.clone(), guest, self.ending.clone()));
        }
    }

    /// Waits for a place and returns it, or `None` if the address keeps its whole share busy.
    async fn place(&self, address: ClientAddress) -> Option<Guest> {
        loop {
            if let Some(guest) = self.room.enter(address) {
                return Some(guest);
            }
            if self.room.is_share_of(address) {
                return None;
            }
            // A guest that leaves or becomes idle is announced by `freed`; the timeout covers one that was missed.
            let _ = timeout(PAUSE, self.room.freed()).await;
        }
    }

    /// Lets requests under way finish and waits until every connection is closed.
    pub(crate) async fn end(&self) {
        self.ending.cancel();
        self.open.close();
        self.open.wait().await;
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, router: Router, guest: Guest, ending: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY not set");
    }
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(SILENT_FOR)
        // Needed for the answer to the opening of a websocket; see `routes::socket`.
        .preserve_header_case(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(SILENT_FOR)
        .max_concurrent_streams(MOST_STREAMS);
    let service = TowerToHyperService::new(Noting::new(router, guest.clone(), peer.ip()));
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = ending.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = useless(&guest) => {
            connection.as_mut().graceful_shutdown();
            leave(connection, &guest).await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "connection ended");
    }
}

/// Returns when the connection is to be closed: no first request came in time, it was idle for too long, or its place is needed.
async fn useless(guest: &Guest) {
    tokio::select! {
        () = guest.asked_to_leave() => tracing::debug!("connection closed: its place is needed"),
        () = forsaken(guest) => tracing::debug!("connection closed: no request came"),
    }
}

async fn forsaken(guest: &Guest) {
    loop {
        let end = match guest.idle_since() {
            _ if !guest.has_begun() => guest.entered() + BEGIN_WITHIN,
            Some(since) => since + SILENT_FOR,
            None => Instant::now() + SILENT_FOR,
        };
        if end <= Instant::now() {
            return;
        }
        sleep_until(end).await;
    }
}

/// Waits for a connection to shut down: as long as a request is under way, and for a short time after it.
async fn leave<C: Future<Output = Result<(), E>>, E>(
    mut connection: Pin<&mut C>,
    guest: &Guest,
) -> Result<(), E> {
    loop {
        match timeout(LEAVE_WITHIN, connection.as_mut()).await {
            Ok(outcome) => return outcome,
            Err(_) if guest.idle_since().is_none() => {}
            // Dropping the connection closes it.
            Err(_) => return Ok(()),
        }
    }
}
