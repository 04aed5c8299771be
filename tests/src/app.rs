//! One running system of a test's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;
use wallet_core::clock::MovableClock;

use crate::database::Database;
use crate::money::{cents, major};
use crate::poll::{eventually, until};
use crate::servers::{self, RedisNodes};
use crate::stripe::{OPENING, Stripe};
use crate::system::{Api, CONNECT_SECRET, ENCRYPTION_KEY, JWT_SECRET, PLATFORM_SECRET, RunningWorker, STRIPE_KEY, Variables, show_logs};
use crate::{Answer, User, books, webhook};

/// The fields of a transaction that tests look at.
const FIELDS: &str = "id walletId userId transactionType status amount fee currency reference description metadata paymentMethod \
    stripePaymentIntentId stripeTransferId clientSecret counterpartyWalletId direction failureReason createdAt updatedAt \
    timeline { kind message detail at }";

/// What a system is made of.
#[derive(Debug, Clone)]
pub struct Options {
    /// Workers that serve every queue.
    pub workers: usize,
    /// Variables beside, or instead of, the usual ones.
    pub variables: Vec<(&'static str, String)>,
    /// Redis nodes that no other test uses, to be paused, emptied and stopped.
    pub own_redis: bool,
    /// What the platform owns at Stripe at the beginning, in cents.
    pub opening: i64,
}

impl Default for Options {
    fn default() -> Self {
        Self { workers: 1, variables: Vec::new(), own_redis: false, opening: OPENING }
    }
}

/// What may be left when a test has come to its end; nothing by default.
#[derive(Debug, Clone, Copy, Default)]
pub struct Leftovers<'a> {
    /// Kinds of the alarms that were raised, each as often as it stands here.
    pub alarms: &'a [&'a str],
    /// Parked jobs.
    pub parked: i64,
}

/// A running system. End it with [`TestApp::finish`].
pub struct TestApp {
    /// Its database.
    pub db: Database,
    /// Its Stripe.
    pub stripe: Stripe,
    /// The clock of its API and workers.
    pub clock: Arc<MovableClock>,
    /// Its environment.
    pub variables: Variables,
    own_redis: Option<RedisNodes>,
    redis: &'static RedisNodes,
    api: Option<Api>,
    workers: Vec<RunningWorker>,
    client: reqwest::Client,
    base: String,
    put_in: AtomicI64,
    finished: bool,
}

impl std::fmt::Debug for TestApp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestApp").field("db", &self.db).field("base", &self.base).finish_non_exhaustive()
    }
}

impl TestApp {
    /// A system with one worker.
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    /// A system with `workers` workers; 0 for a system that accepts and does nothing.
    pub async fn with_workers(workers: usize) -> Self {
        Self::with(Options { workers, ..Options::default() }).await
    }

    /// A system.
    ///
    /// # Panics
    /// When something does not start.
    pub async fn with(options: Options) -> Self {
        show_logs();
        let redis = servers::redis().await;
        let own_redis = if options.own_redis { Some(RedisNodes::start().await) } else { None };
        let (db, listener) = tokio::join!(Database::migrated(), TcpListener::bind("127.0.0.1:0"));
        let listener = listener.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let stripe = Stripe::start(&format!("{base}/wallet/webhook"), options.opening).await;
        let nodes = own_redis.as_ref().unwrap_or(redis);
        let mut variables = variables(&db, &stripe, nodes).await;
        for (name, value) in &options.variables {
            variables.set(name, value.as_str());
        }
        let clock = Arc::new(MovableClock::default());
        let api = Api::start(&variables, clock.clone(), listener).await;
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        let mut app = Self {
            db,
            stripe,
            clock,
            variables,
            own_redis,
            redis,
            api: Some(api),
            workers: Vec::new(),
            client,
            base,
            put_in: AtomicI64::new(options.opening),
            finished: false,
        };
        for _ in 0..options.workers {
            app.start_worker();
        }
        app
    }

    /// The Redis nodes that it uses.
    #[must_use]
    pub fn redis(&self) -> &RedisNodes {
        self.own_redis.as_ref().unwrap_or(self.redis)
    }

    /// Its own Redis nodes, to be stopped and started.
    ///
    /// # Panics
    /// When it was started without any.
    pub fn own_redis(&mut self) -> &mut RedisNodes {
        self.own_redis.as_mut().expect("Options.own_redis")
    }

    /// `http://127.0.0.1:PORT` of its API.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The client that sends its requests.
    #[must_use]
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// One more worker.
    pub fn start_worker(&mut self) {
        self.start_worker_with(&[]);
    }

    /// One more worker, with other variables.
    pub fn start_worker_with(&mut self, variables: &[(&str, &str)]) {
        self.workers.push(RunningWorker::start(&self.variables.with(variables), self.clock.clone()));
    }

    /// Drains every worker.
    pub async fn stop_workers(&mut self) {
        futures::future::join_all(self.workers.drain(..).map(RunningWorker::stop)).await;
    }

    /// Moves the clocks of the application and of Stripe.
    pub async fn advance(&self, step: TimeDelta) {
        self.clock.advance(step);
        self.stripe.control("clock", json!({ "advance_seconds": step.num_seconds() })).await;
    }

    /// Sends a GraphQL operation as `user`.
    pub async fn gql(&self, user: &User, query: &str, variables: Value) -> Answer {
        self.post(Some(&user.token), &json!({ "query": query, "variables": variables }), &[]).await
    }

    /// Sends any JSON to the GraphQL route, with more headers.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn post(&self, token: Option<&str>, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.client.post(format!("{}/graphql", self.base)).json(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        Answer { status: response.status().as_u16(), body: response.json().await.unwrap_or_default() }
    }

    /// Delivers an event's body with a signature header; gives the status.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn deliver(&self, header: Option<&str>, body: impl Into<Vec<u8>>) -> u16 {
        let mut request = self.client.post(format!("{}/wallet/webhook", self.base)).body(body.into());
        if let Some(header) = header {
            request = request.header("stripe-signature", header);
        }
        request.send().await.unwrap().status().as_u16()
    }

    /// Delivers an event as Stripe would, now; gives the status.
    pub async fn deliver_signed(&self, event: &Value) -> u16 {
        let body = event.to_string();
        let header = webhook::header(body.as_bytes());
        self.deliver(Some(&header), body).await
    }

    /// Creates a wallet and gives its id.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn wallet(&self, user: &User, input: Value) -> String {
        let query = "mutation($input: CreateWalletInput!) { createWallet(input: $input) { id } }";
        self.gql(user, query, json!({ "input": input })).await.data()["id"].as_str().unwrap().to_owned()
    }

    /// A new person with a wallet in US dollars that holds so many cents.
    pub async fn owner(&self, funds: i64) -> (User, String) {
        let user = User::new();
        let wallet = self.wallet(&user, json!({})).await;
        if funds > 0 {
            self.plant(&wallet, funds).await;
        }
        (user, wallet)
    }

    /// The same, with a connected account that can be paid.
    pub async fn payee(&self, funds: i64) -> (User, String) {
        let user = User::new();
        let account = self.stripe.account(user.id).await;
        let wallet = self.wallet(&user, json!({ "stripeAccountId": account })).await;
        if funds > 0 {
            self.plant(&wallet, funds).await;
        }
        (user, wallet)
    }

    /// Puts so many cents into a wallet in one database transaction, and the same at Stripe: as after a deposit, only quicker.
    ///
    /// # Panics
    /// When PostgreSQL refuses.
    pub async fn plant(&self, wallet: &str, funds: i64) {
        // UUIDv7, so that it lies in this month's partition.
        let sql = "WITH w AS (SELECT id, user_id, currency FROM wallets WHERE id = $1),
                        t AS (INSERT INTO wallet_transactions (id, wallet_id, user_id, transaction_type, status, stage, amount, currency, reference)
                              SELECT $2, id, user_id, 'deposit', 'completed', 'completed', $3::bigint / 100.0, currency, 'planted' FROM w
                              RETURNING id, wallet_id, amount, currency),
                        e AS (INSERT INTO ledger_entries (transaction_id, id, wallet_id, account, amount, currency, created_at)
                              SELECT id, gen_random_uuid(), wallet_id, 'wallet:available', amount, currency, now() FROM t
                              UNION ALL SELECT id, gen_random_uuid(), NULL, 'stripe:clearing', -amount, currency, now() FROM t)
                   UPDATE wallets SET balance = balance + $3::bigint / 100.0 WHERE id = $1";
        let id = planted_id();
        let changed = self.db.execute(sql, &[&uuid(wallet), &id, &funds]).await;
        assert_eq!(changed, 1, "no wallet {wallet}");
        self.top_up(funds).await;
        self.put_in.fetch_sub(funds, Ordering::Relaxed);
    }

    /// Adds cents to the platform's balance at Stripe, which belong to no wallet.
    pub async fn top_up(&self, amount: i64) {
        self.stripe.control("balance/top_up", json!({ "amount": amount })).await;
        self.put_in.fetch_add(amount, Ordering::Relaxed);
    }

    /// Asks for a deposit.
    pub async fn deposit(&self, user: &User, wallet: &str, input: Value) -> Answer {
        let query = format!("mutation($w: String!, $i: DepositInput!) {{ deposit(walletId: $w, input: $i) {{ {FIELDS} }} }}");
        self.gql(user, &query, json!({ "w": wallet, "i": input })).await
    }

    /// Asks for a withdrawal.
    pub async fn withdraw(&self, user: &User, wallet: &str, input: Value) -> Answer {
        let query = format!("mutation($w: String!, $i: WithdrawInput!) {{ withdraw(walletId: $w, input: $i) {{ {FIELDS} }} }}");
        self.gql(user, &query, json!({ "w": wallet, "i": input })).await
    }

    /// Asks for a transfer.
    pub async fn transfer(&self, user: &User, from: &str, input: Value) -> Answer {
        let query = format!("mutation($w: String!, $i: TransferInput!) {{ transfer(fromWalletId: $w, input: $i) {{ {FIELDS} }} }}");
        self.gql(user, &query, json!({ "w": from, "i": input })).await
    }

    /// Asks for a transfer of so many cents that must be accepted; gives its id.
    pub async fn send(&self, user: &User, from: &str, to: &str, amount: i64) -> String {
        let input = json!({ "toWalletId": to, "amount": major(amount) });
        id_of(&self.transfer(user, from, input).await.data())
    }

    /// A transaction as `user` sees it; null when there is none to see.
    pub async fn transaction(&self, user: &User, id: &str) -> Value {
        let query = format!("query($id: String!) {{ transaction(id: $id) {{ {FIELDS} }} }}");
        self.gql(user, &query, json!({ "id": id })).await.data()
    }

    /// Waits until a transaction is final and gives it.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn ended(&self, user: &User, id: &str) -> Value {
        until(&format!("transaction {id} to end"), async || {
            let found = self.transaction(user, id).await;
            matches!(found["status"].as_str(), Some("COMPLETED" | "FAILED" | "CANCELLED")).then_some(found)
        })
        .await
    }

    /// Waits until a transaction is completed and gives it.
    ///
    /// # Panics
    /// When it ends otherwise, or not.
    pub async fn completed(&self, user: &User, id: &str) -> Value {
        let ended = self.ended(user, id).await;
        assert_eq!(ended["status"], "COMPLETED", "{ended:#}");
        ended
    }

    /// Waits until a transaction has failed and gives it.
    ///
    /// # Panics
    /// When it ends otherwise, or not.
    pub async fn failed(&self, user: &User, id: &str) -> Value {
        let ended = self.ended(user, id).await;
        assert_eq!(ended["status"], "FAILED", "{ended:#}");
        ended
    }

    /// Waits until a transaction is at a stage.
    ///
    /// # Panics
    /// When it does not come there.
    pub async fn at_stage(&self, id: &str, stage: &str) {
        let at = "SELECT stage = $2 FROM wallet_transactions WHERE id = $1";
        eventually(&format!("{id} to be {stage}"), async || self.db.value(at, &[&uuid(id), &stage]).await).await;
    }

    /// Spendable and held cents of a wallet, as its owner sees them.
    pub async fn balances(&self, user: &User, wallet: &str) -> (i64, i64) {
        let query = "query($id: String!) { wallet(id: $id) { balance frozenBalance } }";
        let found = self.gql(user, query, json!({ "id": wallet })).await.data();
        (cents(found["balance"].as_str().unwrap()), cents(found["frozenBalance"].as_str().unwrap()))
    }

    /// Waits until no job is left but the parked ones.
    ///
    /// # Panics
    /// When some are.
    pub async fn at_rest(&self) {
        eventually("every job to be done", async || self.db.count("jobs WHERE parked_at IS NULL").await == 0).await;
    }

    /// The kinds of all alarms, closed ones too.
    pub async fn alarms(&self) -> Vec<String> {
        self.db.rows("SELECT kind FROM alarms ORDER BY kind", &[]).await.iter().map(|row| row.get(0)).collect()
    }

    /// Ends the system and checks that nothing is left and everything balances.
    pub async fn finish(self) {
        self.finish_with(Leftovers::default()).await;
    }

    /// As [`TestApp::finish`], when something is to be left.
    ///
    /// # Panics
    /// When something else is left, or something does not hold.
    pub async fn finish_with(mut self, leftovers: Leftovers<'_>) {
        if !self.workers.is_empty() {
            self.at_rest().await;
        }
        self.stop_workers().await;
        if let Some(api) = self.api.take() {
            api.stop().await;
        }
        let alarms = self.db.rows("SELECT kind, subject, message FROM alarms ORDER BY kind", &[]).await;
        let kinds: Vec<&str> = alarms.iter().map(|row| row.get(0)).collect();
        let told: Vec<String> =
            alarms.iter().map(|row| format!("{} {}: {}", row.get::<_, &str>(0), row.get::<_, &str>(1), row.get::<_, &str>(2))).collect();
        assert_eq!(kinds, leftovers.alarms, "alarms: {told:?}");
        assert_eq!(self.db.count("jobs WHERE parked_at IS NOT NULL").await, leftovers.parked, "parked jobs");
        books::assert_balanced(&self.db).await;
        books::assert_legal_history(&self.db).await;
        self.assert_effects().await;
        let idle = "pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
        assert_eq!(self.db.count(idle).await, 0, "transactions left open");
        self.finished = true;
        self.db.clone().drop().await;
    }

    /// I1 and I2: Stripe did for each transaction exactly what its row says, and the platform's accounts are Stripe's balances.
    ///
    /// # Panics
    /// When it did not.
    pub async fn assert_effects(&self) {
        let effects = self.stripe.effects("*").await;
        let count = |id: &str, operation: &str| {
            effects.iter().filter(|it| it["transaction_id"] == id && it["operation"] == operation).count()
        };
        let rows = "SELECT id::text, transaction_type::text, stage FROM wallet_transactions WHERE reference IS DISTINCT FROM 'planted'";
        for row in self.db.rows(rows, &[]).await {
            let (id, kind, stage): (String, String, String) = (row.get(0), row.get(1), row.get(2));
            let done = |operation| count(&id, operation);
            let told = format!("{kind} {id} at {stage}");
            match (kind.as_str(), stage.as_str()) {
                ("deposit", "completed") => assert_eq!(done("payment_intent.succeed"), 1, "{told}"),
                ("deposit", "failed" | "cancelled" | "awaiting_payment") => {
                    assert_eq!(done("payment_intent.succeed"), 0, "{told}");
                }
                ("withdrawal", "completed") => {
                    assert_eq!((done("transfer.create"), done("payout.create"), done("transfer_reversal.create")), (1, 1, 0), "{told}");
                }
                ("withdrawal", "failed") => {
                    assert_eq!(done("transfer.create"), done("transfer_reversal.create"), "{told}");
                }
                _ => {}
            }
            for operation in ["payment_intent.create", "payment_intent.succeed", "transfer.create", "payout.create", "transfer_reversal.create"] {
                assert!(done(operation) <= 1, "{operation} happened {} times for {told}", done(operation));
            }
        }
        let changed: i64 = effects.iter().filter_map(|it| it["platform_change"].as_i64()).sum();
        let booked = "SELECT coalesce(-100 * sum(amount), 0)::bigint FROM ledger_entries WHERE account = 'stripe:clearing' AND currency = 'usd'";
        let booked: i64 = self.db.value(booked, &[]).await;
        let under_way = self.db.count("wallet_transactions WHERE stage IN ('accepted', 'held', 'awaiting_payment', 'returning')").await;
        if under_way == 0 {
            assert_eq!(booked, changed - self.put_in.load(Ordering::Relaxed), "stripe:clearing and the platform's balance at Stripe");
        }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        assert!(self.finished || std::thread::panicking(), "end the test with TestApp::finish");
    }
}

/// The id in a transaction or wallet.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn id_of(object: &Value) -> String {
    object["id"].as_str().unwrap_or_else(|| panic!("no id: {object}")).to_owned()
}

/// An id as SQL takes it.
///
/// # Panics
/// When it is no UUID.
#[must_use]
pub fn uuid(id: &str) -> Uuid {
    id.parse().unwrap_or_else(|_| panic!("no id: {id}"))
}

/// A UUIDv7 of now.
fn planted_id() -> Uuid {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let millis = u64::try_from(chrono::Utc::now().timestamp_millis()).unwrap();
    let random = Uuid::new_v4();
    let mut bytes = *random.as_bytes();
    bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    bytes[12..].copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Uuid::from_bytes(bytes)
}

async fn variables(db: &Database, stripe: &Stripe, nodes: &RedisNodes) -> Variables {
    // A database of the queue node for each test of this process, so that what one test empties is its own.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut variables = Variables::default();
    variables.set("DATABASE_URL", db.url().await);
    variables.set("REDIS_URL", format!("{}{number}", nodes.queue.url()));
    variables.set("REDLOCK_URLS", nodes.lock_urls());
    variables.set("STRIPE_SECRET_KEY", STRIPE_KEY);
    variables.set("STRIPE_WEBHOOK_SECRET", format!("{PLATFORM_SECRET},{CONNECT_SECRET}"));
    variables.set("STRIPE_API_BASE", stripe.url());
    variables.set("ENCRYPTION_SECRET_KEY", ENCRYPTION_KEY);
    variables.set("JWT_SECRET", JWT_SECRET);
    variables.set("METRICS_PORT", "0");
    variables.set("RATE_LIMIT_PER_MINUTE", "0");
    variables.set("SHUTDOWN_GRACE_SECONDS", "4");
    variables
}
