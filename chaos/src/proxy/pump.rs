//! One connection through the proxy: two directions, each with its own bytes, in one mode that can change at any time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;

use super::{Hits, Mode};

/// The direction in which bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    ToServer,
    ToClient,
}

/// How one direction ended.
enum End {
    /// Its reader reached the end, and its writer was closed.
    Closed,
    /// Both directions are ended by a reset.
    Reset,
}

/// What happens to some bytes.
enum Fate {
    Passed,
    Late(Duration),
    Held,
    Lost,
    Cut {
        /// How many of the bytes are passed on first.
        passing: usize,
    },
}

/// What both directions share about their connection.
#[derive(Default)]
struct Shared {
    /// Whether this connection was counted under the current mode.
    counted: AtomicBool,
    from_client: AtomicU64,
}

/// Passes bytes in both directions until both have ended, or the mode ends the connection.
pub(super) async fn run(client: TcpStream, server: TcpStream, mode: watch::Receiver<Mode>, hits: &Hits) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let shared = Arc::new(Shared::default());
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    let mut ended = mode.clone();
    let up = direction(Way::ToServer, client_in, server_out, mode.clone(), &shared, hits);
    let down = direction(Way::ToClient, server_in, client_out, mode, &shared, hits);
    tokio::pin!(up, down);
    let mut halves = (None, None);
    loop {
        tokio::select! {
            (end, reader, writer) = &mut up, if halves.0.is_none() => {
                let reset = matches!(end, End::Reset);
                halves.0 = Some((reader, writer));
                if reset { break }
            }
            (end, reader, writer) = &mut down, if halves.1.is_none() => {
                let reset = matches!(end, End::Reset);
                halves.1 = Some((reader, writer));
                if reset { break }
            }
            changed = ended.changed() => {
                if changed.is_err() { return }
                shared.counted.store(false, Ordering::Relaxed);
                shared.from_client.store(0, Ordering::Relaxed);
            }
        }
        if halves.0.is_some() && halves.1.is_some() {
            return;
        }
    }
    // Dropping the halves with a linger of zero sends the reset; a direction that still runs ends with this task.
    for stream in [&halves.0, &halves.1].into_iter().flatten() {
        reset(stream.0.as_ref());
        reset(stream.1.as_ref());
    }
}

/// Makes the next close of this socket a reset.
pub(super) fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

async fn direction(
    way: Way,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
    shared: &Shared,
    hits: &Hits,
) -> (End, OwnedReadHalf, OwnedWriteHalf) {
    let count = || {
        if !shared.counted.swap(true, Ordering::Relaxed) {
            hits.changed.fetch_add(1, Ordering::Relaxed);
        }
    };
    let mut buffer = vec![0_u8; 16 * 1024];
    let mut closed_half = false;
    loop {
        let now = *mode.borrow_and_update();
        match now {
            Mode::Reset => {
                count();
                return (End::Reset, from, to);
            }
            Mode::HalfClose if way == Way::ToServer && !closed_half => {
                count();
                let _ = to.shutdown().await;
                closed_half = true;
            }
            // The bytes lost in the meantime cannot be recovered.
            _ if closed_half && now != Mode::HalfClose => return (End::Reset, from, to),
            _ => {}
        }
        let read = tokio::select! {
            read = from.read(&mut buffer) => read.unwrap_or(0),
            changed = mode.changed() => {
                if changed.is_err() { return (End::Closed, from, to) }
                continue;
            }
        };
        if read == 0 {
            let _ = to.shutdown().await;
            return (End::Closed, from, to);
        }
        let bytes = buffer.get(..read).unwrap_or_default();
        let total = match way {
            Way::ToServer => {
                let before = shared.from_client.fetch_add(len(read), Ordering::Relaxed);
                before.saturating_add(len(read))
            }
            Way::ToClient => 0,
        };
        let at_commit = way == Way::ToServer && has_commit(bytes);
        let fate = match *mode.borrow() {
            Mode::CutAfter(limit) if way == Way::ToServer && total > limit => Fate::Cut {
                passing: usize::try_from(limit.saturating_sub(total.saturating_sub(len(read)))).unwrap_or(0),
            },
            Mode::CutAtCommit { delivered } if at_commit => Fate::Cut {
                passing: if delivered { read } else { 0 },
            },
            Mode::BlackHole => Fate::Held,
            Mode::OneWay if way == Way::ToClient => Fate::Held,
            Mode::HalfClose if way == Way::ToServer => Fate::Lost,
            Mode::Delay(time) => Fate::Late(time),
            _ => Fate::Passed,
        };
        if !matches!(fate, Fate::Passed) {
            count();
        }
        match fate {
            Fate::Passed => {}
            Fate::Late(time) => tokio::time::sleep(time).await,
            Fate::Lost => continue,
            // As in a network that drops packets: they arrive once the link works again.
            Fate::Held => {
                let held = *mode.borrow_and_update();
                while *mode.borrow_and_update() == held {
                    if mode.changed().await.is_err() {
                        return (End::Closed, from, to);
                    }
                }
            }
            Fate::Cut { passing } => {
                let _ = to.write_all(bytes.get(..passing).unwrap_or_default()).await;
                // The pause lets the server read them before the reset can overtake them.
                tokio::time::sleep(Duration::from_millis(20)).await;
                return (End::Reset, from, to);
            }
        }
        if to.write_all(bytes).await.is_err() {
            return (End::Closed, from, to);
        }
    }
}

fn has_commit(bytes: &[u8]) -> bool {
    bytes.windows(7).any(|window| window == b"COMMIT\0")
}

fn len(read: usize) -> u64 {
    u64::try_from(read).unwrap_or(u64::MAX)
}
