//! Strangers who keep many connections busy with bodies that do not end: what they get is bounded, and others are still answered.
//!
//! The addresses are those that a proxy reports, since a machine has only one; a bound holds at every moment, so that nothing here depends on
//! how fast the machine is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use wallet_tests::app::Options;
use wallet_tests::{TestApp, eventually, webhook};

/// What one of the bodies sends and then holds back: eight places of 64 KiB.
const SENT: usize = 512 * 1024;
/// How many such bodies of one address are held at once: 8 MiB.
const HELD: usize = 16;
/// How many connections one address opens.
const CONNECTIONS: usize = 40;

async fn behind_a_proxy() -> TestApp {
    TestApp::with(Options {
        workers: 0,
        variables: vec![("TRUSTED_PROXIES", "127.0.0.1".to_owned())],
        ..Options::default()
    })
    .await
}

/// Opens one connection after the other that sends half of what it has announced, and counts those that got an answer.
struct Flood {
    all: JoinSet<()>,
    sent: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

impl Flood {
    fn of(app: &TestApp, address: &str, target: &str, announced: usize, sent: usize) -> Self {
        let mut flood = Self {
            all: JoinSet::new(),
            sent: Arc::default(),
            ended: Arc::default(),
        };
        let host = app.base().strip_prefix("http://").unwrap().to_owned();
        let head = format!(
            "{target} HTTP/1.1\r\nHost: wallet\r\nX-Forwarded-For: {address}\r\nContent-Length: {announced}\r\n\r\n"
        );
        for _ in 0..CONNECTIONS {
            let (host, head) = (host.clone(), head.clone());
            let (counted, ended) = (Arc::clone(&flood.sent), Arc::clone(&flood.ended));
            flood.all.spawn(async move {
                let mut stream = TcpStream::connect(host).await.unwrap();
                stream.write_all(head.as_bytes()).await.unwrap();
                // Whoever is refused may be cut off while it sends.
                let _ = stream.write_all(&vec![b'x'; sent]).await;
                counted.fetch_add(1, Ordering::SeqCst);
                let mut told = [0; 64];
                let _ = stream.read(&mut told).await;
                ended.fetch_add(1, Ordering::SeqCst);
                // It stays connected until the flood is over.
                std::future::pending::<()>().await;
            });
        }
        flood
    }

    /// Those that got no answer yet, once all have sent.
    fn held(&self) -> Option<usize> {
        let has_sent = self.sent.load(Ordering::SeqCst) == CONNECTIONS;
        has_sent.then(|| CONNECTIONS - self.ended.load(Ordering::SeqCst))
    }
}

/// A signed event from an address.
async fn delivered(app: &TestApp, address: &str, id: &str) -> u16 {
    let event =
        json!({ "id": id, "object": "event", "type": "charge.updated", "livemode": false }).to_string();
    let sent = app
        .client()
        .post(format!("{}/wallet/webhook", app.base()))
        .header("x-forwarded-for", address)
        .header("stripe-signature", webhook::header(event.as_bytes()))
        .body(event);
    sent.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_do_not_end_take_a_bounded_memory_and_nobody_elses_answer() {
    let app = behind_a_proxy().await;
    let (alice, hers) = app.owner(1_000).await;
    let addresses = ["203.0.113.1", "203.0.113.2", "203.0.113.3"];
    let target = "POST /wallet/webhook";
    let floods = addresses.map(|address| Flood::of(&app, address, target, 2 * SENT, SENT));
    for flood in &floods {
        eventually("what is too much to be refused", async || {
            flood.held().is_some_and(|held| held <= HELD)
        })
        .await;
    }
    // Stripe, from an address of its own, and somebody with a token are answered, while the others go on.
    assert_eq!(delivered(&app, "198.51.100.1", "evt_beside").await, 200);
    assert_eq!(app.db.count("stripe_events WHERE id = 'evt_beside'").await, 1);
    assert_eq!(app.balances(&alice, &hers).await, (1_000, 0));
    for flood in &floods {
        assert!(flood.held().unwrap() <= HELD);
        assert!(
            flood.ended.load(Ordering::SeqCst) >= CONNECTIONS - HELD,
            "the others were told so"
        );
    }
    // What they held is free again once they are gone, for the same address too.
    drop(floods);
    eventually("their room to be given back", async || {
        delivered(&app, addresses[0], "evt_after").await == 200
    })
    .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_readiness_with_a_body_is_answered_without_it_and_costs_nobody_a_connection() {
    let app = behind_a_proxy().await;
    let (alice, hers) = app.owner(1_000).await;
    // A gigabyte is announced, and nothing of it is sent.
    let floods = ["GET /readyz", "POST /readyz", "GET /healthz"]
        .map(|target| Flood::of(&app, "203.0.113.1", target, 1_000_000_000, 0));
    for flood in &floods {
        eventually("every one of them to be answered", async || {
            flood.held() == Some(0)
        })
        .await;
    }
    assert_eq!(app.balances(&alice, &hers).await, (1_000, 0));
    let asked = (0..200).map(|_| async {
        let answer = app
            .client()
            .get(format!("{}/readyz", app.base()))
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    });
    let (answers, balances) = tokio::join!(futures::future::join_all(asked), app.balances(&alice, &hers));
    assert_eq!(balances, (1_000, 0), "and somebody in between");
    for (status, body) in answers {
        assert_eq!((status, &body["status"]), (200, &json!("ready")), "{body}");
    }
    app.finish().await;
}
