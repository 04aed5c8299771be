//! Reading a body of bounded size in bounded time.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::StatusCode;
use futures::StreamExt;
use tokio::time::timeout;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is sent beyond the bound is read away for this long and up to this size, so that a client that sends it all before it
/// listens hears the refusal instead of a broken connection.
const DRAINED_FOR: Duration = Duration::from_secs(2);
const DRAINED_BYTES: usize = 64 * 1024 * 1024;

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    TooLarge,
    TooSlow,
    Broken,
}

impl Unread {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken => StatusCode::BAD_REQUEST,
        }
    }

    pub(super) const fn problem(self) -> &'static str {
        match self {
            Self::TooLarge => "is too large",
            Self::TooSlow => "did not arrive in time",
            Self::Broken => "did not arrive whole",
        }
    }
}

/// Reads a body of at most `most` bytes.
pub(super) async fn read(body: Body, most: usize) -> Result<Bytes, Unread> {
    let mut stream = body.into_data_stream();
    let mut read = Vec::new();
    let outcome = timeout(PATIENCE, async {
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|_| Unread::Broken)?;
            if read.len().saturating_add(piece.len()) > most {
                return Err(Unread::TooLarge);
            }
            read.extend_from_slice(&piece);
        }
        Ok(())
    })
    .await
    .unwrap_or(Err(Unread::TooSlow));
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
