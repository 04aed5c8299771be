//! The protocol, message by message, on a websocket without a network and a server without a database.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::ws::Message;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::{Sink, Stream, StreamExt};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use wallet_core::clock::SystemClock;
use wallet_core::ids::SystemIds;

use super::session::{MOST_BYTES, Visit, serve};
use crate::graphql::build;
use crate::places::client_address;
use crate::request_id::RequestId;
use crate::routes::Shared;
use crate::routes::tests::{app, token_of};

const WATCH: &str = "subscription($id: String!) { walletUpdated(id: $id) { balance } }";
const WALLET: &str = "018f2f5e-7b3c-7000-8000-000000000009";

/// The server's end of a websocket.
struct Wire {
    received: UnboundedReceiver<Message>,
    sent: UnboundedSender<Message>,
}

impl Stream for Wire {
    type Item = Result<Message, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.received.poll_next_unpin(cx).map(|message| message.map(Ok))
    }
}

impl Sink<Message> for Wire {
    type Error = axum::Error;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), axum::Error> {
        self.sent.unbounded_send(message).map_err(axum::Error::new)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        Poll::Ready(Ok(()))
    }
}

/// The client's end.
struct Client {
    sent: UnboundedSender<Message>,
    received: UnboundedReceiver<Message>,
}

/// What a client receives.
#[derive(Debug, PartialEq)]
enum Heard {
    Message(Value),
    Closed(u16),
}

async fn server() -> Shared {
    let app = app(&[("RATE_LIMIT_PER_MINUTE", "0")]).await;
    Shared {
        schema: build(Arc::clone(&app)),
        readiness: Arc::default(),
        app,
    }
}

fn open(shared: &Shared) -> Client {
    let ids = SystemIds::new(Arc::new(SystemClock));
    let address = client_address(None, &Default::default(), &Default::default());
    let visit = Visit {
        shared: shared.clone(),
        id: RequestId::of(&Default::default(), &ids),
        address,
        guest: shared.app.sockets.open(address).unwrap(),
    };
    let ((sent, at_server), (at_client, received)) = (unbounded(), unbounded());
    let wire = Wire {
        received: at_server,
        sent: at_client,
    };
    tokio::spawn(serve(wire, visit));
    Client { sent, received }
}

async fn greeted(shared: &Shared) -> Client {
    let mut client = open(shared);
    client.say(&init(&token(1)));
    assert_eq!(
        client.hear().await,
        Heard::Message(json!({ "type": "connection_ack" }))
    );
    client
}

fn token(person: u64) -> String {
    let sub = format!("018f2f5e-7b3c-7000-8000-{person:012}");
    token_of(json!({ "sub": sub, "exp": 4_102_444_800_u64 }))
}

fn init(token: &str) -> Value {
    json!({ "type": "connection_init", "payload": { "token": token } })
}

fn subscribe(id: &str) -> Value {
    json!({ "type": "subscribe", "id": id, "payload": { "query": WATCH, "variables": { "id": WALLET } } })
}

impl Client {
    fn say(&self, message: &Value) {
        self.send(Message::Text(message.to_string().into()));
    }

    fn send(&self, message: Message) {
        self.sent.unbounded_send(message).unwrap();
    }

    /// Returns what is received next; pings are answered.
    async fn hear(&mut self) -> Heard {
        loop {
            match self.received.next().await.expect("an end without a close") {
                Message::Text(text) => return Heard::Message(serde_json::from_str(&text).unwrap()),
                Message::Close(frame) => return Heard::Closed(frame.unwrap().code),
                Message::Ping(payload) => self.send(Message::Pong(payload)),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Returns the id of the operation that is refused next for lack of a place.
    async fn refusal(&mut self) -> String {
        let Heard::Message(heard) = self.hear().await else {
            panic!("closed")
        };
        assert_eq!(
            heard["payload"][0]["extensions"]["code"], "LIMIT_EXCEEDED",
            "{heard}"
        );
        heard["id"].as_str().unwrap().to_owned()
    }

    async fn hears_nothing_for(&mut self, time: Duration) {
        if let Ok(heard) = timeout(time, self.hear()).await {
            panic!("{heard:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_greeting_has_to_come_soon_and_once() {
    let shared = server().await;
    let opened = Instant::now();
    assert_eq!(open(&shared).hear().await, Heard::Closed(4408));
    assert!(opened.elapsed() >= Duration::from_secs(10));
    let mut twice = greeted(&shared).await;
    twice.say(&init(&token(1)));
    assert_eq!(twice.hear().await, Heard::Closed(4429));
    let mut unasked = open(&shared);
    unasked.say(&subscribe("a"));
    assert_eq!(unasked.hear().await, Heard::Closed(4401));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_believed_is_final_and_one_that_cannot_be_checked_now_is_not() {
    let shared = server().await;
    for payload in [json!({}), json!({ "token": "x.y.z" })] {
        let mut client = open(&shared);
        client.say(&json!({ "type": "connection_init", "payload": payload }));
        assert_eq!(client.hear().await, Heard::Closed(4403), "{payload}");
    }
    let with_session = token_of(
        json!({ "sub": "018f2f5e-7b3c-7000-8000-000000000001", "exp": 4_102_444_800_u64, "sid": "s" }),
    );
    let mut client = open(&shared);
    client.say(&init(&with_session));
    assert_eq!(
        client.hear().await,
        Heard::Closed(1013),
        "nobody answers for the database"
    );
    // A message that is sent while the token is being checked comes too early.
    for (message, code) in [(subscribe("a"), 4401), (init(&with_session), 4429)] {
        let mut client = open(&shared);
        client.say(&init(&with_session));
        client.say(&message);
        assert_eq!(client.hear().await, Heard::Closed(code));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_no_ping_is_closed_and_one_that_does_stays() {
    let shared = server().await;
    let (silent, mut alive) = (greeted(&shared).await, greeted(&shared).await);
    alive.hears_nothing_for(Duration::from_secs(600)).await;
    let heard: Vec<Message> = silent.received.collect().await;
    assert!(
        matches!(&heard[..], [Message::Ping(_), Message::Close(Some(frame))] if frame.code == 1001),
        "{heard:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered_with_what_it_brought() {
    let shared = server().await;
    let mut client = open(&shared);
    client.say(&json!({ "type": "ping" }));
    assert_eq!(client.hear().await, Heard::Message(json!({ "type": "pong" })));
    client.say(&json!({ "type": "ping", "payload": { "at": 17, "nested": { "a": [1] } } }));
    assert_eq!(
        client.hear().await,
        Heard::Message(json!({ "type": "pong", "payload": { "at": 17, "nested": { "a": [1] } } }))
    );
    client.say(&json!({ "type": "pong" }));
    client.hears_nothing_for(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn an_operation_s_name_stands_for_one_at_a_time_and_is_free_again_when_it_ends() {
    let shared = server().await;
    let mut client = greeted(&shared).await;
    for _ in 0..3 {
        client.say(&subscribe("a"));
        client.say(&json!({ "type": "complete", "id": "a" }));
    }
    client.say(&json!({ "type": "complete", "id": "never begun" }));
    client.hears_nothing_for(Duration::from_secs(15)).await;
    client.say(&subscribe("a"));
    client.say(&subscribe("b"));
    client.say(&subscribe("a"));
    assert_eq!(client.hear().await, Heard::Closed(4409));
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_document_is_an_error_and_the_end_of_its_operation() {
    let shared = server().await;
    let mut client = greeted(&shared).await;
    for (query, code) in [
        ("subscription {", "VALIDATION_ERROR"),
        ("subscription { nothing }", "VALIDATION_ERROR"),
        ("{ wallets { id } }", "VALIDATION_ERROR"),
        (
            "mutation { cancelTransaction(transactionId: \"x\") { id } }",
            "VALIDATION_ERROR",
        ),
        (
            "subscription { walletUpdated(id: \"no id\") { id } }",
            "WALLET_NOT_FOUND",
        ),
        // The database does not answer.
        (
            "subscription { walletUpdated(id: \"018f2f5e-7b3c-7000-8000-000000000009\") { id } }",
            "SERVICE_UNAVAILABLE",
        ),
    ] {
        client.say(&json!({ "type": "subscribe", "id": "same", "payload": { "query": query } }));
        let Heard::Message(heard) = client.hear().await else {
            panic!("{query}: closed")
        };
        assert_eq!(
            (&heard["type"], &heard["id"]),
            (&json!("error"), &json!("same")),
            "{query}: {heard}"
        );
        assert_eq!(
            heard["payload"][0]["extensions"]["code"], code,
            "{query}: {heard}"
        );
        client.hears_nothing_for(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_is_4400_and_what_is_too_large_1009() {
    let shared = server().await;
    let large = json!({ "type": "ping", "payload": { "a": "x".repeat(MOST_BYTES) } }).to_string();
    for (message, code) in [
        (Message::Text("".into()), 4400),
        (Message::Text("{".into()), 4400),
        (Message::Text("{\"type\":\"start\"}".into()), 4400),
        (
            Message::Text("{\"type\":\"subscribe\",\"id\":\"a\"}".into()),
            4400,
        ),
        (Message::Binary("{\"type\":\"ping\"}".into()), 4400),
        (Message::Text(large.into()), 1009),
    ] {
        let mut client = greeted(&shared).await;
        client.send(message);
        assert_eq!(client.hear().await, Heard::Closed(code));
    }
}

#[tokio::test(start_paused = true)]
async fn one_person_gets_a_share_of_websockets_and_subscriptions_and_others_theirs() {
    let shared = server().await;
    let mut hers = Vec::new();
    for _ in 0..20 {
        hers.push(greeted(&shared).await);
    }
    let mut one_more = open(&shared);
    one_more.say(&init(&token(1)));
    assert_eq!(one_more.hear().await, Heard::Closed(1013));

    let (others, ten) = hers.split_at_mut(10);
    for client in ten {
        for name in 0..11 {
            client.say(&subscribe(&name.to_string()));
        }
        assert_eq!(client.refusal().await, "10", "the eleventh of one websocket");
    }
    others[0].say(&subscribe("a"));
    assert_eq!(
        others[0].refusal().await,
        "a",
        "the hundred and first of one person"
    );
    let mut his = open(&shared);
    his.say(&init(&token(2)));
    assert_eq!(
        his.hear().await,
        Heard::Message(json!({ "type": "connection_ack" }))
    );
    his.say(&subscribe("a"));
    his.hears_nothing_for(Duration::from_millis(100)).await;
    drop(hers.pop());
    tokio::time::sleep(Duration::from_secs(2)).await;
    greeted(&shared).await;
}

#[tokio::test(start_paused = true)]
async fn websockets_that_nobody_greets_on_shut_nobody_out() {
    let shared = server().await;
    let mut ungreeted: Vec<_> = (0..1_000).map(|_| open(&shared)).collect();
    greeted(&shared).await;
    assert_eq!(ungreeted[0].hear().await, Heard::Closed(1013));
}

#[tokio::test(start_paused = true)]
async fn whoever_floods_a_websocket_is_read_slowly() {
    let shared = server().await;
    let mut client = greeted(&shared).await;
    let began = Instant::now();
    for _ in 0..200 {
        client.say(&json!({ "type": "ping" }));
    }
    for _ in 0..200 {
        client.hear().await;
    }
    assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
}
