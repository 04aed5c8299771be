//! Reading a body of bounded size in bounded time.

use std::hash::Hash;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody as _};
use axum::http::{HeaderMap, StatusCode, header};
use futures::StreamExt;
use tokio::time::timeout;

use crate::places::BodyRoom;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is sent beyond the bound is read away for this long and up to this size, so that a client that sends it all before it
/// listens hears the refusal instead of a broken connection.
const DRAINED_FOR: Duration = Duration::from_secs(2);
const DRAINED_BYTES: usize = 64 * 1024 * 1024;

/// A body of a stranger that is announced to be no larger than this is read away beside the answer, so that the connection can go on.
const SMALL: usize = 64 * 1024;

/// Why a body was not read.
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

/// Reads a body of at most `most` bytes, within the room that all of its kind have together while they are read.
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

/// Reads away a body that is not wanted, within bounds.
pub(super) async fn drain(body: Body) {
    read_away(&mut body.into_data_stream()).await;
}

/// Leaves a body alone, because nobody has shown that it is worth reading, and gives whether the connection ends with the answer. One that is
/// small and on its way is read away meanwhile, which the answer does not wait for; for all others the connection is closed.
pub(super) fn leave(body: Body, headers: &HeaderMap) -> bool {
    if body.is_end_stream() {
        return false;
    }
    // Whoever waits to be told to go on (RFC 9110, section 10.1.1) has not sent it, and would if it were read.
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
