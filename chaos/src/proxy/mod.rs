//! A TCP proxy on every link of the system: it passes bytes on, or does to them what networks do.

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
    /// Passes everything on, this much later.
    Delay(Duration),
    /// Takes everything and passes nothing on, both ways.
    BlackHole,
    /// Passes requests on and loses the answers.
    OneWay,
    /// Ends every connection at once by a reset, new ones too.
    Reset,
    /// Ends the client's direction in good order and keeps the other one open.
    HalfClose,
    /// Ends a connection by a reset once so many more bytes have come from the client.
    CutAfter(u64),
    /// Ends a connection by a reset at the client's COMMIT: before the server gets it, or when it has and its answer is lost.
    CutAtCommit {
        /// Whether the server gets it.
        delivered: bool,
    },
}

/// How often a link really did something to live connections.
#[derive(Debug, Default)]
pub(crate) struct Hits {
    pub(super) changed: AtomicU64,
    pub(super) refused: AtomicU64,
    /// The ports from which it speaks to the other end at the moment.
    speaking: Mutex<HashSet<u16>>,
}

impl Hits {
    fn speaking(&self) -> std::sync::MutexGuard<'_, HashSet<u16>> {
        self.speaking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One link: a port of ours, and where it leads.
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
    /// A link that leads to a port of this machine; to the first of several that takes the connection.
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

    /// Its name: who talks to what.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The port that the client is told of.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Does this to its connections from now on.
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// New connections lead there.
    pub(crate) fn lead_to(&self, to: &[u16]) {
        *self.upstreams.lock().unwrap_or_else(PoisonError::into_inner) = addresses(to);
    }

    /// How often it has done to a connection what was ordered, rather than passing on.
    pub(crate) fn hits(&self) -> u64 {
        self.hits.changed.load(Ordering::Relaxed)
    }
}

impl Link {
    /// How often a client found nobody at the other end.
    pub(crate) fn refused(&self) -> u64 {
        self.hits.refused.load(Ordering::Relaxed)
    }

    /// The ports from which it speaks to the other end at the moment: by them a server's sessions tell whose they are.
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
