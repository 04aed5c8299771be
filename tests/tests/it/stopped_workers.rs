//! A worker that is stopped (SIGSTOP) after it has counted a try and before it has sent it, while another does its work under a new key: when
//! it continues, it sends nothing.
//!
//! The connection holds the moment: a client that connects to a listener whose queue is full waits, and the try was counted just before. The
//! worker is stopped once the kernel shows its connection waiting: if it were stopped earlier, it might never have opened one.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use wallet_tests::app::id_of;
use wallet_tests::programs::{Program, start};
use wallet_tests::{TestApp, User, eventually};

/// A gate to Stripe that closes behind a certain request: its answer goes through, and then no connection passes until it is opened again.
struct Gate {
    at: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    is_closed: AtomicBool,
    /// Whether further connections wait outside.
    is_full: AtomicBool,
    is_opened_again: AtomicBool,
    /// Connections that came in after it was opened again.
    late: AtomicUsize,
    /// How many of them ended, and what was received on all of them.
    late_ended: AtomicUsize,
    late_said: Mutex<Vec<u8>>,
}

impl Gate {
    /// A gate before `upstream` (`http://127.0.0.1:PORT`) that closes when a request begins with `closing`.
    fn before(upstream: &str, closing: &'static str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        // The kernel keeps one more than this waiting.
        let listener = socket.listen(1).unwrap();
        let at = listener.local_addr().unwrap();
        let upstream: SocketAddr = upstream.trim_start_matches("http://").parse().unwrap();
        let state = Arc::<State>::default();
        tokio::spawn(serve(listener, upstream, closing, Arc::clone(&state)));
        Self { at, state }
    }

    fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    /// Whether a connection waits to be accepted (`SYN_SENT`, proc_pid_net(5)).
    fn is_knocked_at(&self) -> bool {
        const SYN_SENT: &str = "02";
        let at = format!(":{:04X}", self.at.port());
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
        sockets.lines().any(|socket| {
            let mut fields = socket.split_whitespace().skip(2);
            fields.next().is_some_and(|remote| remote.ends_with(&at)) && fields.next() == Some(SYN_SENT)
        })
    }

    fn open(&self) {
        self.state.is_opened_again.store(true, Ordering::SeqCst);
    }

    fn count(&self, of: impl Fn(&State) -> &AtomicUsize) -> usize {
        of(&self.state).load(Ordering::SeqCst)
    }
}

async fn serve(listener: TcpListener, upstream: SocketAddr, closing: &'static str, state: Arc<State>) {
    let at = listener.local_addr().unwrap();
    let mut fillers: Vec<TcpStream> = Vec::new();
    loop {
        if state.is_closed.load(Ordering::SeqCst) && !state.is_opened_again.load(Ordering::SeqCst) {
            // Fill the queue until nobody gets in any more.
            while fillers.len() < 16 {
                match tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(at)).await {
                    Ok(filler) => fillers.push(filler.unwrap()),
                    Err(_) => break,
                }
            }
            assert!(fillers.len() < 16, "the queue does not fill");
            state.is_full.store(true, Ordering::SeqCst);
            while !state.is_opened_again.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        let Ok(accepted) = tokio::time::timeout(Duration::from_millis(20), listener.accept()).await else {
            continue;
        };
        let (stream, from) = accepted.unwrap();
        if fillers.iter().any(|filler| filler.local_addr().unwrap() == from) {
            continue;
        }
        if state.is_opened_again.load(Ordering::SeqCst) {
            state.late.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(listen_only(stream, Arc::clone(&state)));
        } else {
            tokio::spawn(forward(stream, upstream, closing, Arc::clone(&state)));
        }
    }
}

/// Counts what is received and answers nothing: whatever the stopped worker still sends is seen here.
async fn listen_only(mut stream: TcpStream, state: Arc<State>) {
    let mut buffer = [0; 1_024];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(bytes) => state
                .late_said
                .lock()
                .unwrap()
                .extend_from_slice(&buffer[..bytes]),
        }
    }
    state.late_ended.fetch_add(1, Ordering::SeqCst);
}

/// One connection, both ways; the closing request is answered once the gate is closed.
async fn forward(mut client: TcpStream, upstream: SocketAddr, closing: &str, state: Arc<State>) {
    let mut stripe = TcpStream::connect(upstream).await.unwrap();
    let (mut asked, mut answered) = ([0; 16_384], [0; 16_384]);
    let mut closes = false;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => match read {
                Ok(0) | Err(_) => break,
                Ok(bytes) => {
                    closes |= asked[..bytes].starts_with(closing.as_bytes());
                    if stripe.write_all(&asked[..bytes]).await.is_err() { break }
                }
            },
            read = stripe.read(&mut answered) => match read {
                Ok(0) | Err(_) => break,
                Ok(bytes) => {
                    if closes {
                        closes = false;
                        state.is_closed.store(true, Ordering::SeqCst);
                        while !state.is_full.load(Ordering::SeqCst) {
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                    }
                    if client.write_all(&answered[..bytes]).await.is_err() { break }
                }
            },
        }
    }
}

/// The request that a stopped worker was about to send.
struct Case {
    queue: &'static str,
    /// The request after which its next connection is the one.
    closing: &'static str,
    operation: &'static str,
    fault: &'static str,
    effect: &'static str,
}

/// Stops a worker between counting and sending, lets another do the work with `begin`, and wakes the first.
async fn stopped(case: Case, begin: impl AsyncFn(&TestApp) -> (User, String)) {
    let mut app = TestApp::with_workers(0).await;
    let gate = Gate::before(&app.stripe.url(), case.closing);
    let variables = [
        ("STRIPE_API_BASE", gate.url()),
        ("WORKER_QUEUES", case.queue.to_owned()),
    ];
    let variables: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let first: Program = start("wallet-worker", &["run"], &app.variables.with(&variables));
    let (user, id) = begin(&app).await;
    let counted = format!(
        "stripe_calls WHERE operation = '{}' AND tries = 1",
        case.operation
    );
    eventually("a try to be counted", async || app.db.count(&counted).await == 1).await;
    eventually("its connection to be asked for", async || gate.is_knocked_at()).await;
    first.process.freeze();
    assert!(
        app.stripe.effects(case.effect).await.is_empty(),
        "it was not sent yet"
    );
    // Its successor learns nothing under the key, looks, finds nothing, and makes another.
    app.stripe
        .fault(json!({ "operation": case.fault, "times": 3, "outcome": "error_500_unsaved" }))
        .await;
    app.start_worker();
    app.hurry_until("another to have done it", TimeDelta::seconds(61), async || {
        app.transaction(&user, &id).await["status"] == "COMPLETED"
    })
    .await;
    let keys = format!("stripe_calls WHERE operation = '{}'", case.operation);
    assert_eq!(app.db.count(&keys).await, 2, "under a new key");
    assert_eq!(app.stripe.effects(case.effect).await.len(), 1);
    // The connection of the first is there before it goes on, so that nothing but its own look keeps it from sending.
    gate.open();
    eventually("the connection of the stopped worker", async || {
        gate.count(|state| &state.late) > 0
    })
    .await;
    first.process.thaw();
    eventually("it to have given up", async || {
        gate.count(|state| &state.late_ended) == gate.count(|state| &state.late)
    })
    .await;
    let said = String::from_utf8_lossy(&gate.state.late_said.lock().unwrap()).into_owned();
    assert!(!said.contains("POST"), "it has sent nothing: {said}");
    assert_eq!(app.stripe.effects(case.effect).await.len(), 1);
    drop(first);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_stopped_before_its_transfer_sends_nothing_when_another_has_made_it() {
    let case = Case {
        queue: "withdrawals",
        closing: "GET /v1/accounts/",
        operation: "transfer",
        fault: "transfers.create",
        effect: "transfer.create",
    };
    stopped(case, async |app| {
        let (alice, wallet) = app.payee(2_000).await;
        // Else its schedule would be changed first, by another call.
        let account = app.account_of(&wallet).await;
        let manual = [("settings[payouts][schedule][interval]", "manual")];
        app.stripe.form(&format!("/v1/accounts/{account}"), &manual).await;
        let taken = app.withdraw(&alice, &wallet, json!({ "amount": "10.00" })).await;
        (alice, id_of(&taken.data()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_stopped_before_its_payment_intent_sends_nothing_when_another_has_made_it() {
    let case = Case {
        queue: "deposits",
        closing: "POST /v1/customers",
        operation: "payment_intent",
        fault: "payment_intents.create",
        effect: "payment_intent.create",
    };
    stopped(case, async |app| {
        let (alice, wallet) = app.owner(0).await;
        let input = json!({ "amount": "10.00", "stripePaymentMethodId": "pm_card_visa" });
        let taken = app.deposit(&alice, &wallet, input).await;
        (alice, id_of(&taken.data()))
    })
    .await;
}
