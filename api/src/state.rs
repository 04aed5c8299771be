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
use wallet_core::dispatch::HandOver;
use wallet_core::feed::Feed;
use wallet_core::foundation::Foundation;
use wallet_core::ids::{SharedIds, UserId};
use wallet_core::inbox::Inbox;
use wallet_core::metrics::{Recorder, upkeep};
use wallet_core::queue::Carrier;
use wallet_core::standing::Unfit;
use wallet_core::stripe::{Verifier, WebhookSecret};

use crate::auth::{Authenticator, LiveSessions};
use crate::metrics;
use crate::places::{Bodies, ClientAddress, Refusals, Sockets, Turns};
use crate::rate_limit::RateLimiter;
use crate::reads::Reads;
use crate::schema_watch::SchemaWatch;
use crate::serve_error::ServeError;
use crate::watching::{Lookout, SeenTransaction, SeenWallet};

/// The part of the connections to the database that one person's requests may keep busy, as a divisor: others find one free.
const SHARE_OF_ONE: u32 = 3;

/// How long a request may wait for a connection to the database before it is told to try again later.
const CONNECTION_WITHIN: Duration = Duration::from_secs(2);

/// Pieces of memory, 64 KiB each, for webhook deliveries that are being read, and of one address: 32 MiB and 8 MiB.
const DELIVERIES: usize = 512;
const DELIVERIES_OF_ADDRESS: usize = 128;
/// Pieces of memory for requests of people that are being read, and of one person: 128 MiB and 4 MiB. A request has one of them.
const REQUESTS: usize = 2_048;
pub(crate) const REQUESTS_OF_PERSON: usize = 64;

/// Everything a request may need. Shared by all requests of one server.
pub(crate) struct App {
    /// PostgreSQL, the primary: everything that decides.
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
    pub(crate) carrier: Carrier,
    /// The wallets that somebody watches.
    pub(crate) wallets: Arc<Lookout<SeenWallet>>,
    /// The transactions that somebody watches.
    pub(crate) transactions: Arc<Lookout<SeenTransaction>>,
    pub(crate) auth: Authenticator,
    pub(crate) limiter: RateLimiter,
    /// How many requests that make us ask Stripe a person may send: Stripe's own limit is one for the whole platform.
    pub(crate) provider_limiter: RateLimiter,
    pub(crate) metrics: Recorder,
    /// Whether GraphiQL, and with it introspection, is served.
    pub(crate) graphiql: bool,
    /// Work that must reach its end even when the client that asked for it hangs up.
    pub(crate) tasks: TaskTracker,
    /// Tasks of the process itself, which end when it does.
    pub(crate) background: TaskTracker,
    /// Places for websockets and what is watched over them.
    pub(crate) sockets: Sockets,
    /// The sessions of open websockets.
    pub(crate) live_sessions: Arc<LiveSessions>,
    /// How much one person keeps busy at once.
    pub(crate) turns: Arc<Turns>,
    /// Memory for webhook deliveries, which nobody vouches for before they are read.
    pub(crate) deliveries: Bodies<ClientAddress>,
    /// Memory for people's requests while they arrive.
    pub(crate) requests: Bodies<UserId>,
    /// The answers to those who ask too much.
    pub(crate) refusals: Refusals,
    /// Whether the database has the schema and the keys that are needed.
    pub(crate) schema: Arc<SchemaWatch>,
    /// Most wallets that a list shows at once.
    pub(crate) most_wallets: u32,
    /// Whose pages may use the API from a browser.
    pub(crate) allowed_origins: AllowedOrigins,
    /// The proxies that are believed when they tell a client's address.
    pub(crate) trusted_proxies: TrustedProxies,
    /// Cancelled when open websockets are to end.
    pub(crate) closing: CancellationToken,
    draining: AtomicBool,
}

impl App {
    /// Puts the parts together. Neither PostgreSQL nor Redis has to be there yet. `stopped` ends what runs in the background.
    ///
    /// # Errors
    /// When a value of the configuration cannot be used.
    pub(crate) async fn new(
        config: &ApiConfig,
        clock: SharedClock,
        stopped: CancellationToken,
    ) -> Result<Arc<Self>, ServeError> {
        let (db, reads) = databases(config, &clock).await?;
        let foundation = Foundation::new(db, clock, config.encryption.clone());
        let redis_url = config.redis.url.expose_secret();
        let namespace = config.redis.namespace.as_str();
        let carrier = Carrier::connect(redis_url, namespace).await?;
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
        let (hand_over, handing_over) = HandOver::start(db.clone(), carrier.clone(), stopped.clone());
        background.spawn(handing_over);
        let metrics = metrics::recorder()?;
        background.spawn(upkeep(metrics.clone(), stopped.clone()));
        background.spawn(reads.clone().watch(stopped.clone()));
        background.spawn(db::keep_clock(db.clone(), Arc::clone(&clock), stopped.clone()));
        let wallets = Lookout::new(feed.watchlist(), config.subscription_poll);
        let transactions = Lookout::new(feed.watchlist(), config.subscription_poll);
        let live_sessions = Arc::<LiveSessions>::default();
        background.spawn(Arc::clone(&wallets).run(db.clone(), stopped.clone()));
        background.spawn(Arc::clone(&transactions).run(db.clone(), stopped.clone()));
        background.spawn(Arc::clone(&live_sessions).run(db.clone(), stopped.clone()));
        let schema = Arc::<SchemaWatch>::default();
        schema.look(&db, &vault).await;
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
                hand_over.clone(),
            )
            .cooling_off(config.cool_off)
            .with_limits(config.limits)
            .settling_in(config.stripe.settlement.clone()),
            payees: Payees::new(db.clone(), calls, Arc::clone(&clock), config.stripe.live),
            inbox: inbox.handing_over(hand_over),
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
            carrier,
        }))
    }

    /// From now on the server is not ready for new requests, though it still answers them.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the server is about to end.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// The primary, and where lists are read.
async fn databases(config: &ApiConfig, clock: &SharedClock) -> Result<(Db, Reads), ServeError> {
    let options = DbOptions {
        application_name: "wallet-api",
        pool_size: config.database.pool_size.get(),
        get_timeout: CONNECTION_WITHIN,
        statement_timeout: Duration::from_secs(10),
        ..DbOptions::default()
    };
    let db = Db::connect(config.database.url.expose_secret(), &options).await?;
    // While PostgreSQL is away nothing is accepted anyway; then the background tells the clock.
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
