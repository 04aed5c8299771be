//! The parts of one running API, and how they are put together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wallet_core::accept::{Acceptor, Payees};
use wallet_core::clock::SharedClock;
use wallet_core::config::{AllowedOrigins, ApiConfig, TrustedProxies};
use wallet_core::crypto::Vault;
use wallet_core::db::{self, Db, DbOptions};
use wallet_core::dispatch::Submitter;
use wallet_core::feed::Feed;
use wallet_core::foundation::Foundation;
use wallet_core::ids::{SharedIds, UserId};
use wallet_core::inbox::Inbox;
use wallet_core::metrics::{Recorder, upkeep};
use wallet_core::queue::QueueTransport;
use wallet_core::readiness::Unfit;
use wallet_core::stripe::{Verifier, WebhookSecret};

use crate::auth::{Authenticator, LiveSessions};
use crate::metrics;
use crate::places::{Bodies, ClientAddress, Refusals, Sockets, Turns};
use crate::rate_limit::RateLimiter;
use crate::reads::Reads;
use crate::schema_watch::SchemaWatch;
use crate::serve_error::ServeError;
use crate::watching::{RowWatcher, SeenTransaction, SeenWallet};

/// The share of the connections to the database that one person's requests may keep busy, as a divisor: others find one free.
const SHARE_OF_ONE: u32 = 3;

/// How long a request may wait for a connection to the database before it is refused for the moment.
const CONNECTION_WITHIN: Duration = Duration::from_secs(2);

/// Pieces of memory, 64 KiB each, for webhook deliveries that are being read: 32 MiB in total, and 8 MiB for one address.
const DELIVERIES: usize = 512;
const DELIVERIES_OF_ADDRESS: usize = 128;
/// Pieces of memory for people's requests that are being read: 128 MiB in total, and 4 MiB for one person. A request takes one.
const REQUESTS: usize = 2_048;
pub(crate) const REQUESTS_OF_PERSON: usize = 64;

/// Everything a request may need. Shared by all requests of one server.
pub(crate) struct App {
    /// PostgreSQL, the primary, for everything that decides something.
    pub(crate) db: Db,
    /// Where lists and histories are read: the replica if there is one.
    pub(crate) reads: Reads,
    pub(crate) clock: SharedClock,
    pub(crate) ids: SharedIds,
    pub(crate) vault: Arc<Vault>,
    pub(crate) acceptor: Acceptor,
    /// Payout accounts: the only calls to Stripe that the API makes itself.
    pub(crate) payees: Payees,
    pub(crate) inbox: Inbox,
    pub(crate) verifier: Verifier,
    pub(crate) transport: QueueTransport,
    /// The wallets that are watched.
    pub(crate) wallets: Arc<RowWatcher<SeenWallet>>,
    /// The transactions that are watched.
    pub(crate) transactions: Arc<RowWatcher<SeenTransaction>>,
    pub(crate) auth: Authenticator,
    pub(crate) limiter: RateLimiter,
    /// How many requests that make us call Stripe a person may send: Stripe's own limit is for the whole platform.
    pub(crate) provider_limiter: RateLimiter,
    pub(crate) metrics: Recorder,
    /// Whether GraphiQL, and with it introspection, is served.
    pub(crate) graphiql: bool,
    /// Work that must finish even if the client that requested it disconnects.
    pub(crate) tasks: TaskTracker,
    /// Tasks of the process itself, which end when it does.
    pub(crate) background: TaskTracker,
    /// Places for websockets and their subscriptions.
    pub(crate) sockets: Sockets,
    /// The sessions of open websockets.
    pub(crate) live_sessions: Arc<LiveSessions>,
    /// How much one person may keep busy at once.
    pub(crate) turns: Arc<Turns>,
    /// Memory for webhook deliveries, whose senders are not known before they are read.
    pub(crate) deliveries: Bodies<ClientAddress>,
    /// Memory for people's requests while they arrive.
    pub(crate) requests: Bodies<UserId>,
    /// The refusals of people who send too many requests.
    pub(crate) refusals: Refusals,
    /// Whether the database has the schema and the keys that are needed.
    pub(crate) schema: Arc<SchemaWatch>,
    /// The maximum number of wallets in a list.
    pub(crate) most_wallets: u32,
    /// The origins whose pages may use the API from a browser.
    pub(crate) allowed_origins: AllowedOrigins,
    /// The proxies that are trusted to report a client's address.
    pub(crate) trusted_proxies: TrustedProxies,
    /// Cancelled when open websockets are to end.
    pub(crate) closing: CancellationToken,
    draining: AtomicBool,
}

impl App {
    /// Puts the parts together. Neither PostgreSQL nor Redis has to be available yet. `stopped` ends the background tasks.
    ///
    /// # Errors
    /// If a value of the configuration cannot be used.
    pub(crate) async fn new(
        config: &ApiConfig,
        clock: SharedClock,
        stopped: CancellationToken,
    ) -> Result<Arc<Self>, ServeError> {
        let (db, reads) = databases(config, &clock).await?;
        let foundation = Foundation::new(db, clock, config.encryption.clone());
        let redis_url = config.redis.url.expose_secret();
        let namespace = config.redis.namespace.as_str();
        let transport = QueueTransport::connect(redis_url, namespace).await?;
        let calls = foundation.stripe_calls(&config.stripe)?;
        let inbox = foundation.inbox(&config.stripe);
        let Foundation {
            db,
            clock,
            ids,
            vault,
        } = foundation;
        let background = TaskTracker::new();
        let (feed, listening) = Feed::start(config.database.url.clone(), stopped.clone());
        background.spawn(listening);
        let (dispatch, dispatching) = Submitter::start(db.clone(), transport.clone(), stopped.clone());
        background.spawn(dispatching);
        let metrics = metrics::recorder()?;
        background.spawn(upkeep(metrics.clone(), stopped.clone()));
        background.spawn(reads.clone().watch(stopped.clone()));
        background.spawn(db::keep_clock(db.clone(), Arc::clone(&clock), stopped.clone()));
        let wallets = RowWatcher::new(feed.watchlist(), config.subscription_poll);
        let transactions = RowWatcher::new(feed.watchlist(), config.subscription_poll);
        let live_sessions = Arc::<LiveSessions>::default();
        background.spawn(Arc::clone(&wallets).run(db.clone(), stopped.clone()));
        background.spawn(Arc::clone(&transactions).run(db.clone(), stopped.clone()));
        background.spawn(Arc::clone(&live_sessions).run(db.clone(), stopped.clone()));
        let schema = Arc::<SchemaWatch>::default();
        schema.refresh(&db, &vault).await;
        if let Err(Unfit::WrongKey(error)) = schema.missing() {
            return Err(ServeError::Keys(error));
        }
        let ended = stopped.clone();
        let (watched, asked, keys) = (Arc::clone(&schema), db.clone(), Arc::clone(&vault));
        background.spawn(async move { watched.run(&asked, &keys, stopped).await });
        let auth = Authenticator::new(&config.jwt, db.clone(), Arc::clone(&clock))?;
        background.spawn(auth.follow_files(config.jwt.clone(), ended));
        let turns = config.database.pool_size.get().div_ceil(SHARE_OF_ONE);
        Ok(Arc::new(Self {
            acceptor: Acceptor::new(
                db.clone(),
                Arc::clone(&clock),
                Arc::clone(&ids),
                Arc::clone(&vault),
                dispatch.clone(),
            )
            .cooling_off(config.cool_off)
            .with_limits(config.limits)
            .settling_in(config.stripe.settlement_currencies.clone()),
            payees: Payees::new(db.clone(), calls, Arc::clone(&clock), config.stripe.live),
            inbox: inbox.dispatching(dispatch),
            verifier: verifier(&config.webhook_secrets)?,
            wallets,
            transactions,
            auth,
            limiter: RateLimiter::new(config.rate_limit_per_minute, redis_url, namespace)
                .map_err(ServeError::RedisUrl)?,
            provider_limiter: RateLimiter::new(
                config.stripe_requests_per_minute,
                redis_url,
                &format!("{namespace}:stripe"),
            )
            .map_err(ServeError::RedisUrl)?,
            metrics,
            graphiql: config.graphiql,
            background,
            tasks: TaskTracker::new(),
            sockets: Sockets::new(),
            live_sessions,
            turns: Turns::new(usize::try_from(turns).unwrap_or(1)),
            deliveries: Bodies::new(DELIVERIES, DELIVERIES_OF_ADDRESS),
            requests: Bodies::new(REQUESTS, REQUESTS_OF_PERSON),
            refusals: Refusals::new(),
            schema,
            most_wallets: config.limits.wallets.get(),
            allowed_origins: config.allowed_origins.clone(),
            trusted_proxies: config.trusted_proxies.clone(),
            closing: CancellationToken::new(),
            draining: AtomicBool::new(false),
            db,
            reads,
            clock,
            ids,
            vault,
            transport,
        }))
    }

    /// Makes the server not ready for new requests, though it still answers them.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Returns whether the server is about to end.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// Connects to the primary, and to the database that lists are read from.
async fn databases(config: &ApiConfig, clock: &SharedClock) -> Result<(Db, Reads), ServeError> {
    let options = DbOptions {
        application_name: "wallet-api",
        pool_size: config.database.pool_size.get(),
        get_timeout: CONNECTION_WITHIN,
        statement_timeout: Duration::from_secs(10),
        ..DbOptions::default()
    };
    let db = Db::connect(config.database.url.expose_secret(), &options).await?;
    // While PostgreSQL is unavailable nothing is accepted anyway; later a background task sets the clock.
    let _ = db::set_clock(&db, clock).await;
    let replica = match &config.database.replica_url {
        Some(url) => {
            let options = DbOptions {
                writes: false,
                ..options
            };
            Some(Db::connect(url.expose_secret(), &options).await?)
        }
        None => None,
    };
    let reads = Reads::new(db.clone(), replica);
    Ok((db, reads))
}

fn verifier(secrets: &[SecretString]) -> Result<Verifier, ServeError> {
    let mut secrets = secrets.iter().map(|secret| WebhookSecret::new(secret.clone()));
    let first = secrets.next().ok_or(ServeError::NoWebhookSecret)??;
    Ok(Verifier::new(first, secrets.collect::<Result<_, _>>()?))
}
