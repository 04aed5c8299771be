//! A TCP listener whose connections can be cut, and which can refuse connections for a while, as faults need.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

/// The time until which the simulator cannot be reached; shared by the listener and its connections.
#[derive(Debug, Clone)]
pub(crate) struct Outage {
    until: Arc<Mutex<Option<Instant>>>,
    changed: watch::Sender<()>,
}

impl Default for Outage {
    fn default() -> Self {
        Self {
            until: Arc::default(),
            changed: watch::Sender::new(()),
        }
    }
}

impl Outage {
    /// Refuses new connections and cuts the existing ones, from now on for this long.
    pub(crate) fn begin(&self, lasting: Duration) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + lasting);
        self.changed.send_replace(());
    }

    fn end(&self) -> Option<Instant> {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.filter(|until| *until > Instant::now())
    }
}

/// Cuts one connection: nothing written after [`Cut::now`] arrives.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cut(Arc<AtomicBool>);

impl Cut {
    /// Closes the connection instead of sending the next data.
    pub(crate) fn now(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_cut(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Connected<IncomingStream<'_, FaultyListener>> for Cut {
    fn connect_info(stream: IncomingStream<'_, FaultyListener>) -> Self {
        stream.io().cut.clone()
    }
}

/// A listener whose connections can be cut or refused.
#[derive(Debug)]
pub(crate) struct FaultyListener {
    listener: Option<TcpListener>,
    address: SocketAddr,
    outage: Outage,
    changed: watch::Receiver<()>,
}

impl FaultyListener {
    /// Binds to `address`.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub(crate) async fn bind(address: SocketAddr, outage: Outage) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let changed = outage.changed.subscribe();
        Ok(Self {
            listener: Some(listener),
            address,
            outage,
            changed,
        })
    }

    /// Returns the bound address.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Listener for FaultyListener {
    type Io = FaultyStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (FaultyStream, SocketAddr) {
        loop {
            if let Some(end) = self.outage.end() {
                // Only closing the socket makes the kernel refuse connections.
                self.listener = None;
                tokio::time::sleep_until(end).await;
                continue;
            }
            let Some(listener) = &self.listener else {
                match TcpListener::bind(self.address).await {
                    Ok(listener) => self.listener = Some(listener),
                    Err(error) => {
                        tracing::warn!(%error, "the simulator's address cannot be bound again yet");
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
                continue;
            };
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        if let Err(error) = stream.set_nodelay(true) {
                            tracing::debug!(%error, "TCP_NODELAY could not be set");
                        }
                        return (FaultyStream { stream, cut: Cut::default(), outage: self.outage.clone() }, peer);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                },
                _ = self.changed.changed() => {}
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// A connection that fails once it is cut or the outage has begun.
#[derive(Debug)]
pub(crate) struct FaultyStream {
    stream: TcpStream,
    cut: Cut,
    outage: Outage,
}

impl FaultyStream {
    fn check(&self) -> io::Result<()> {
        if self.cut.is_cut() || self.outage.end().is_some() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl AsyncRead for FaultyStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if polled.is_ready() && buffer.filled().len() > before {
            self.check()?;
        }
        polled
    }
}

impl AsyncWrite for FaultyStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
