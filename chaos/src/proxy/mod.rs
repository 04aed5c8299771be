//! A TCP proxy on every link of the system: it passes bytes on, or treats them as faulty networks do.

mod pump;

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wallet_dev::stack::port;

/// What a link does to its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Passes everything on.
    Pass,
    /// Passes everything on with this delay.
    Delay(Duration),
    /// Accepts everything and passes nothing on, in both directions.
    BlackHole,
    /// Passes requests on and loses the answers.
    OneWay,
    /// Resets every connection at once, new ones too.
    Reset,
    /// Closes the client's direction in an orderly way and keeps the other one open.
    HalfClose,
    /// Resets a connection once this many more bytes have come from the client.
    CutAfter(u64),
    /// Resets a connection at the client's COMMIT: before the server receives it, or after, so that its answer is lost.
    CutAtCommit {
        /// Whether the server receives it.
        delivered: bool,
    },
}

/// How often a link really affected live connections.
#[derive(Debug, Default)]
pub(crate) struct Hits {
    pub(super) changed: AtomicU64,
    pub(super) refused: AtomicU64,
    /// The ports from which it currently speaks to the other end.
    speaking: Mutex<HashSet<u16>>,
}

impl Hits {
    fn speaking(&self) -> std::sync::MutexGuard<'_, HashSet<u16>> {
        self.speaking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One link: a listening port, and where it leads.
#[derive(Debug)]
pub(crate) struct Link {
    name: String,
    port: u16,
    upstreams: Arc<Mutex<Vec<SocketAddr>>>,
    mode: watch::Sender<Mode>,
    hits: Arc<Hits>,
    accepting: JoinHandle<()>,
}

impl Link {
    /// Opens a link to a port of this machine; given several, to the first that accepts the connection.
    pub(crate) async fn open(name: impl Into<String>, to: &[u16]) -> Result<Self> {
        let port = port::free()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .context("the proxy cannot listen")?;
        let upstreams = Arc::new(Mutex::new(addresses(to)));
        let (mode, watched) = watch::channel(Mode::Pass);
        let hits = Arc::new(Hits::default());
        let accepting = tokio::spawn(accept(
            listener,
            Arc::clone(&upstreams),
            watched,
            Arc::clone(&hits),
        ));
        Ok(Self {
            name: name.into(),
            port,
            upstreams,
            mode,
            hits,
            accepting,
        })
    }

    /// Returns its name: who talks to what.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the port that the client connects to.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Treats its connections in this mode from now on.
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Leads new connections to these ports.
    pub(crate) fn lead_to(&self, to: &[u16]) {
        *self.upstreams.lock().unwrap_or_else(PoisonError::into_inner) = addresses(to);
    }

    /// Returns how many times it did to a connection what the mode orders, rather than passing bytes on.
    pub(crate) fn hits(&self) -> u64 {
        self.hits.changed.load(Ordering::Relaxed)
    }
}

impl Link {
    /// Returns how many times a client could not be connected to the other end.
    pub(crate) fn refused(&self) -> u64 {
        self.hits.refused.load(Ordering::Relaxed)
    }

    /// Returns the ports from which it currently speaks to the other end: they identify a server's sessions.
    pub(crate) fn speaking(&self) -> HashSet<u16> {
        self.hits.speaking().clone()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn addresses(ports: &[u16]) -> Vec<SocketAddr> {
    ports
        .iter()
        .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, *port)))
        .collect()
}

async fn accept(
    listener: TcpListener,
    upstreams: Arc<Mutex<Vec<SocketAddr>>>,
    mode: watch::Receiver<Mode>,
    hits: Arc<Hits>,
) {
    let mut turn = 0_usize;
    loop {
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let mut candidates = upstreams.lock().unwrap_or_else(PoisonError::into_inner).clone();
        turn = turn.wrapping_add(1);
        if !candidates.is_empty() {
            let first = turn % candidates.len();
            candidates.rotate_left(first);
        }
        let (mode, hits) = (mode.clone(), Arc::clone(&hits));
        tokio::spawn(async move {
            for candidate in candidates {
                if let Ok(server) = TcpStream::connect(candidate).await {
                    let from = server.local_addr().map(|address| address.port()).ok();
                    hits.speaking().extend(from);
                    pump::run(client, server, mode, &hits).await;
                    if let Some(from) = from {
                        hits.speaking().remove(&from);
                    }
                    return;
                }
            }
            hits.refused.fetch_add(1, Ordering::Relaxed);
            pump::reset(&client);
        });
    }
}
