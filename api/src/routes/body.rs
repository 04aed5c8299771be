//! Reads a body of bounded size in bounded time.

use std::hash::Hash;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody as _};
use axum::http::{HeaderMap, StatusCode, header};
use futures::StreamExt;
use tokio::time::timeout;

use crate::places::BodyRoom;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// A body beyond its bound is still read and discarded for this long and up to this size, so that a client that sends all of
/// it before it reads gets the refusal instead of a broken connection.
const DRAINED_FOR: Duration = Duration::from_secs(2);
const DRAINED_BYTES: usize = 64 * 1024 * 1024;

/// A stranger's body that is announced as no larger than this is discarded beside the answer, so that the connection can be kept.
const SMALL: usize = 64 * 1024;

/// The reason why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    TooLarge,
    TooSlow,
    Broken,
    Crowded,
}

impl Unread {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken => StatusCode::BAD_REQUEST,
            Self::Crowded => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(super) const fn problem(self) -> &'static str {
        match self {
            Self::TooLarge => "is too large",
            Self::TooSlow => "did not arrive in time",
            Self::Broken => "did not arrive whole",
            Self::Crowded => "found no room beside the others under way; send it again",
        }
    }
}

/// Reads a body of at most `most` bytes, within the memory that all bodies of its kind share while they are read.
pub(super) async fn read<K: Copy + Eq + Hash>(
    body: Body,
    most: usize,
    room: BodyRoom<'_, K>,
) -> Result<Bytes, Unread> {
    if !room.grow_to(0) {
        return Err(Unread::Crowded);
    }
    let mut stream = body.into_data_stream();
    let mut read = Vec::new();
    let reading = async {
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|_| Unread::Broken)?;
            if read.len().saturating_add(piece.len()) > most {
                return Err(Unread::TooLarge);
            }
            if !room.grow_to(read.len().saturating_add(piece.len())) {
                return Err(Unread::Crowded);
            }
            read.extend_from_slice(&piece);
        }
        Ok(())
    };
    let outcome = tokio::select! {
        outcome = timeout(PATIENCE, reading) => outcome.unwrap_or(Err(Unread::TooSlow)),
        () = room.has_to_leave() => Err(Unread::Crowded),
    };
    match outcome {
        Ok(()) => Ok(read.into()),
        Err(why) => {
            if why == Unread::TooLarge {
                read_away(&mut stream).await;
            }
            Err(why)
        }
    }
}

/// Reads and discards a body that is not wanted, within bounds.
pub(super) async fn drain(body: Body) {
    read_away(&mut body.into_data_stream()).await;
}

/// Leaves a body unread because its sender is not authenticated, and returns whether the connection ends with the answer. A small body on its
/// way is discarded in the background, and the answer does not wait for it; for any other the connection is closed.
pub(super) fn leave(body: Body, headers: &HeaderMap) -> bool {
    if body.is_end_stream() {
        return false;
    }
    // A client that waits for `100 Continue` (RFC 9110, section 10.1.1) has not sent the body, and would do so if it were read.
    let waits = headers.contains_key(header::EXPECT);
    let announced = headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if waits || announced.is_none_or(|length| length > SMALL) {
        return true;
    }
    tokio::spawn(drain(body));
    false
}

async fn read_away(stream: &mut BodyDataStream) {
    let mut drained = 0_usize;
    let reading = async {
        while let Some(Ok(piece)) = stream.next().await {
            drained = drained.saturating_add(piece.len());
            if drained > DRAINED_BYTES {
                break;
            }
        }
    };
    // Too long or too much: the connection is closed instead.
    let _ = timeout(DRAINED_FOR, reading).await;
}
