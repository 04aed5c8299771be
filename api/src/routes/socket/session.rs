//! One websocket: opened, greeted with a token, and served until one side leaves or the token ends.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::Message;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use tokio::time::{Instant, Interval, interval, timeout};
use tokio_stream::StreamMap;
use tokio_tungstenite::tungstenite;

use super::closing::Closing;
use super::greeting::{Welcome, greet};
use super::message::{ClientMessage, OperationId, ServerMessage};
use super::operation::{self, Event};
use crate::errors::ApiError;
use crate::metrics::SOCKETS;
use crate::places::{ClientAddress, Guest};
use crate::request_id::RequestId;
use crate::routes::Shared;
use crate::state::App;

/// The maximum size of a client's message, as for a request over HTTP.
pub(super) const MOST_BYTES: usize = 64 * 1024;
/// How long a client may take to send its token.
const INIT_WITHIN: Duration = Duration::from_secs(10);
/// The interval at which the token's expiry and the client's presence are checked.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// How often a client is pinged, and how long its answer may take.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long a client may take to receive a message.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// The maximum number of messages that are read between two checks; a client that sends more is read more slowly.
const MOST_MESSAGES: u32 = 50;
/// The maximum number of subscriptions of one websocket at once.
const MOST_SUBSCRIPTIONS: usize = 10;

/// A websocket that was opened, and the address that opened it.
pub(super) struct Visit {
    pub(super) shared: Shared,
    pub(super) id: RequestId,
    pub(super) address: ClientAddress,
    pub(super) guest: Guest,
}

/// Serves a websocket until it ends.
pub(super) async fn serve<S>(mut socket: S, visit: Visit)
where
    S: Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error> + Unpin,
{
    metrics::gauge!(SOCKETS).increment(1);
    let mut session = Session::new(visit);
    let closing = session.run(&mut socket).await;
    // Frees its places.
    drop(session);
    let unread = closing == Some(Closing::TooLarge);
    if let Some(closing) = closing {
        tracing::debug!(?closing, "websocket closed");
        let _ = timeout(SEND_WITHIN, socket.send(closing.message())).await;
    }
    // Waits for the client to answer the close, but no longer than one check interval.
    let _ = timeout(CHECK_EVERY, async {
        let _ = socket.close().await;
        while let Some(Ok(_)) = socket.next().await {}
        if unread {
            // The rest of the message is in the system's buffers: closing now would reset the connection, and the client would
            // not receive the reason.
            std::future::pending::<()>().await;
        }
    })
    .await;
    metrics::gauge!(SOCKETS).decrement(1);
}

/// The state of the greeting.
enum Phase {
    /// Nothing was received; others may need the place.
    Silent(Guest),
    /// The token is being checked.
    Greeting(BoxFuture<'static, Result<Welcome, ApiError>>, Guest),
    /// The caller is known.
    Greeted(Welcome),
}

struct Session {
    shared: Shared,
    id: RequestId,
    address: ClientAddress,
    phase: Phase,
    operations: StreamMap<OperationId, BoxStream<'static, Event>>,
    check: Interval,
    opened: Instant,
    /// Messages read since the last check.
    read: u32,
    pinged: Instant,
    /// Whether anything was received since the last ping.
    is_alive: bool,
}

/// The next thing that happens in a session.
enum Step {
    Close(Closing),
    Welcome(Result<Welcome, ApiError>),
    Check,
    Received(Option<Result<Message, axum::Error>>),
    Told(OperationId, Event),
}

/// The end of a session: with a reason, or without one if the client has left.
type End = Option<Closing>;

impl Session {
    fn new(visit: Visit) -> Self {
        let now = Instant::now();
        Self {
            shared: visit.shared,
            id: visit.id,
            address: visit.address,
            phase: Phase::Silent(visit.guest),
            operations: StreamMap::new(),
            check: interval(CHECK_EVERY),
            opened: now,
            read: 0,
            pinged: now,
            is_alive: true,
        }
    }

    async fn run<S>(&mut self, socket: &mut S) -> End
    where
        S: Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error> + Unpin,
    {
        loop {
            let step = self.step(socket).await;
            let reply = match self.take(step) {
                Ok(reply) => reply,
                Err(end) => return end,
            };
            let Some(message) = reply else { continue };
            if !matches!(timeout(SEND_WITHIN, socket.send(message)).await, Ok(Ok(()))) {
                return None;
            }
        }
    }

    async fn step<S>(&mut self, socket: &mut S) -> Step
    where
        S: Stream<Item = Result<Message, axum::Error>> + Unpin,
    {
        let app = &self.shared.app;
        tokio::select! {
            () = app.closing.cancelled() => Step::Close(Closing::Restarting),
            step = Self::of_phase(&mut self.phase) => step,
            _ = self.check.tick() => Step::Check,
            received = socket.next(), if self.read < MOST_MESSAGES => Step::Received(received),
            Some((id, event)) = self.operations.next(), if !self.operations.is_empty() => Step::Told(id, event),
        }
    }

    /// Waits for the next step of the greeting, or after it for the revocation of the session.
    async fn of_phase(phase: &mut Phase) -> Step {
        const NEEDED: Closing = Closing::TryLater("too many websockets wait for their greeting");
        match phase {
            Phase::Silent(guest) => {
                guest.asked_to_leave().await;
                Step::Close(NEEDED)
            }
            Phase::Greeting(greeting, guest) => tokio::select! {
                () = guest.asked_to_leave() => Step::Close(NEEDED),
                welcome = greeting => Step::Welcome(welcome),
            },
            Phase::Greeted(welcome) => {
                welcome.revoked().await;
                Step::Close(Closing::Forbidden("the session was revoked"))
            }
        }
    }

    /// Handles a step. Returns the message to send, if there is one, or the end.
    fn take(&mut self, step: Step) -> Result<Option<Message>, End> {
        match step {
            Step::Close(closing) => Err(Some(closing)),
            Step::Welcome(welcome) => self.welcome(welcome).map(Some),
            Step::Check => self.check(),
            Step::Received(received) => {
                self.read += 1;
                self.is_alive = true;
                self.received(received)
            }
            Step::Told(id, event) => {
                if matches!(event, Event::Failed(_) | Event::Done) {
                    self.operations.remove(&id);
                }
                told(&id, &event).map(Some)
            }
        }
    }

    fn welcome(&mut self, welcome: Result<Welcome, ApiError>) -> Result<Message, End> {
        let welcome = welcome.map_err(|error| Some(Closing::from(&error)))?;
        self.phase = Phase::Greeted(welcome);
        text(&ServerMessage::ConnectionAck)
    }

    fn check(&mut self) -> Result<Option<Message>, End> {
        self.read = 0;
        if let Some(closing) = overdue(&self.shared.app, &self.phase, self.opened) {
            return Err(Some(closing));
        }
        if self.pinged.elapsed() < PING_EVERY {
            return Ok(None);
        }
        if !self.is_alive {
            return Err(Some(Closing::Silent));
        }
        self.pinged = Instant::now();
        self.is_alive = false;
        Ok(Some(Message::Ping(Default::default())))
    }

    fn received(&mut self, received: Option<Result<Message, axum::Error>>) -> Result<Option<Message>, End> {
        match received {
            None | Some(Ok(Message::Close(_))) => Err(None),
            Some(Err(error)) if is_too_large(&error) => Err(Some(Closing::TooLarge)),
            Some(Err(_)) => Err(None),
            // The library answers pings.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
            Some(Ok(Message::Binary(_))) => Err(Some(Closing::Invalid("it is not text".to_owned()))),
            Some(Ok(Message::Text(text))) if text.len() > MOST_BYTES => Err(Some(Closing::TooLarge)),
            Some(Ok(Message::Text(text))) => match ClientMessage::read(&text) {
                Ok(message) => self.said(message),
                Err(error) => Err(Some(Closing::Invalid(error.to_string()))),
            },
        }
    }

    fn said(&mut self, message: ClientMessage) -> Result<Option<Message>, End> {
        match message {
            ClientMessage::ConnectionInit { payload } => {
                let Phase::Silent(guest) = &self.phase else {
                    return Err(Some(Closing::SecondInit));
                };
                let app = Arc::clone(&self.shared.app);
                let mut greeting =
                    greet(app, self.id.clone(), self.address, payload.unwrap_or_default()).boxed();
                // If the check finishes without waiting, a client that does not wait for the answer need not be refused.
                if let Some(welcome) = (&mut greeting).now_or_never() {
                    return self.welcome(welcome).map(Some);
                }
                self.phase = Phase::Greeting(greeting, guest.clone());
                Ok(None)
            }
            ClientMessage::Ping { payload } => text(&ServerMessage::Pong { payload }).map(Some),
            ClientMessage::Pong => Ok(None),
            ClientMessage::Subscribe { id, payload } => {
                let Phase::Greeted(welcome) = &self.phase else {
                    return Err(Some(Closing::Unauthorized));
                };
                if self.operations.contains_key(&id) {
                    return Err(Some(Closing::AlreadyExists(id.to_string())));
                }
                if self.operations.len() >= MOST_SUBSCRIPTIONS {
                    let full = "this websocket has as many subscriptions as it may have; end one of them";
                    return self.refuse(&id, &ApiError::LimitExceeded(full.into()));
                }
                let events = operation::run(&self.shared, &self.id, welcome.caller(), payload);
                self.operations.insert(id, events);
                Ok(None)
            }
            ClientMessage::Complete { id } => {
                self.operations.remove(&id);
                Ok(None)
            }
        }
    }

    /// Ends an operation before it has begun.
    fn refuse(&self, id: &OperationId, error: &ApiError) -> Result<Option<Message>, End> {
        let response = crate::graphql::refusal(error, Some(&self.id));
        told(id, &Event::Failed(response)).map(Some)
    }
}

/// Returns why the websocket must end now, if it must.
fn overdue(app: &App, phase: &Phase, opened: Instant) -> Option<Closing> {
    match phase {
        Phase::Greeted(welcome) => welcome.is_over(app).then_some(Closing::Forbidden(
            "the token has expired; connect again with a new one",
        )),
        _ => (opened.elapsed() >= INIT_WITHIN).then_some(Closing::InitTimeout),
    }
}

fn told(id: &OperationId, event: &Event) -> Result<Message, End> {
    match event {
        Event::Next(response) => text(&ServerMessage::Next {
            id,
            payload: response,
        }),
        Event::Failed(response) => text(&ServerMessage::Error {
            id,
            payload: &response.errors,
        }),
        Event::Done => text(&ServerMessage::Complete { id }),
    }
}

fn text(message: &ServerMessage<'_>) -> Result<Message, End> {
    match serde_json::to_string(message) {
        Ok(text) => Ok(Message::Text(text.into())),
        Err(error) => {
            tracing::error!(%error, "a message of the websocket could not be written");
            Err(Some(Closing::Internal))
        }
    }
}

/// Returns whether a message was larger than the maximum that is read at all.
fn is_too_large(error: &axum::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(tungstenite::Error::Capacity(_)) = error.downcast_ref() {
            return true;
        }
        cause = error.source();
    }
    false
}
