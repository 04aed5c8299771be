//! A stateful Stripe simulator for development and tests.
//!
//! It implements Stripe's HTTP API (form-encoded bodies, Stripe's object shapes and error bodies, idempotency keys, signed
//! webhooks with retries) for the part of Stripe that a platform with connected accounts uses. It keeps everything in memory, and in a file
//! if one is named, with which a restarted simulator continues. Through a control endpoint, `/_control/…`, tests order
//! faults and act as payers, payees and banks. `README.md` has an example for every call.
//!
//! [`start`] starts one in this process, for tests; [`program`] is the command line of one in a process of its own.
//!
//! | control call | effect |
//! |---|---|
//! | `GET state` | shows counts, balances, the simulator's time |
//! | `POST reset` | forgets every object, key, fault and effect |
//! | `GET`/`POST clock` | shows the time; `{"advance_seconds": n}` advances it, and what is due happens |
//! | `GET`/`POST settings` | shows or changes [`Settings`] |
//! | `GET`/`POST`/`DELETE webhook` | shows, sets or removes the [`WebhookTarget`] |
//! | `GET`/`POST`/`DELETE faults`, `DELETE faults/{id}` | lists, adds or removes faults of API requests |
//! | `GET`/`POST`/`DELETE webhook_faults`, `DELETE webhook_faults/{id}` | lists, adds or removes faults of webhooks |
//! | `POST outage` | `{"ms": n}`: refuses connections for that long |
//! | `GET effects` | shows the effect log, filtered by `after`, `operation`, `transaction_id`, `object` |
//! | `GET deliveries` | shows the latest webhook attempts |
//! | `POST events` | creates an event of any `type` with any `object` |
//! | `POST events/{id}/resend` | sends an event's webhook again |
//! | `POST payment_intents/{id}/confirm` | the payer pays, with `payment_method` |
//! | `POST payment_intents/{id}/authenticate` | the payer's bank approves or, with `{"passed": false}`, declines |
//! | `POST payment_intents/{id}/settle` | a bank debit ends; with `{"succeeds": false}` it fails |
//! | `POST payment_intents/{id}/receive` | an `amount` or `currency` arrives that was not requested |
//! | `POST accounts`, `POST accounts/{id}` | creates a connected account that is ready; changes one |
//! | `POST accounts/{id}/deauthorize` | the payee withdraws our access |
//! | `POST transfers/{id}/reverse` | makes a reversal in the dashboard |
//! | `POST payouts/{id}` | `{"status": "in_transit" \| "paid" \| "failed", "failure_code": …}` |
//! | `POST refunds` | makes a refund in the dashboard: without our metadata |
//! | `POST refunds/{id}` | `{"status": "pending" \| "succeeded" \| "failed" \| …, "failure_reason": …}` |
//! | `POST disputes`, `POST disputes/{id}` | opens a dispute about a charge; changes its `status` |
//! | `POST disputes/{id}/funds` | moves a dispute's money without a decision |
//! | `POST balance/top_up` | adds money to the platform's balance or an account's |
//! | `POST balance/reserve` | moves money of the platform from `available` to `connect_reserved` |
//! | `POST balance/keep_back` | holds back money of the platform or an account as a security (`reserve_hold`), which its balance no longer shows |
//!
//! Payouts, refunds and disputes take `after_seconds`: the change happens that much later by the simulator's clock.
//!
//! State and transitions are separate from HTTP: a handler is a function of the whole state and one decoded call.
#![expect(
    clippy::disallowed_methods,
    reason = "a tool for the developer's machine whose own clock stands on the wall clock"
)]

mod auth;
mod clock;
mod control;
mod effects;
mod errors;
mod expand;
mod faults;
mod form;
mod idempotency;
mod keeper;
mod keeping;
mod list;
mod listener;
mod money;
mod objects;
pub mod program;
mod request;
mod resources;
mod serial;
mod server;
mod settings;
mod shared;
mod state;
mod webhooks;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinHandle;

use effects::EffectLog;
use keeping::Keeping;
use listener::{Cut, FaultyListener, Outage};
use money::Currency;
use objects::Owner;
use shared::Core;
use state::State;

pub use keeping::forget;
pub use settings::{PayoutMode, Settings, SignatureClock, WebhookTarget};

/// How long [`Simulator::shutdown`] waits for running requests.
const PATIENCE: Duration = Duration::from_secs(2);

/// The options of a simulator.
#[derive(Debug, Clone)]
pub struct SimulatorConfig {
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The one accepted secret key; without it any `sk_test_…` is accepted.
    pub secret_key: Option<String>,
    /// Where events are sent; it can be set later through the control endpoint.
    pub webhook: Option<WebhookTarget>,
    /// A file that keeps the state from one run to the next; without one the state is forgotten.
    pub state_file: Option<PathBuf>,
    /// The remedy, for people, for a file that cannot be loaded; the error message ends with it.
    pub state_remedy: String,
    /// A file to which every effect is appended as a JSON line.
    pub effects_file: Option<PathBuf>,
    /// The platform's balance at the start: ISO currency and amount in minor units.
    pub opening_balance: Vec<(String, i64)>,
    /// Delays, fees and modes.
    pub settings: Settings,
    /// The seed of random faults: equal seeds and requests cause equal faults.
    pub seed: u64,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            secret_key: None,
            webhook: None,
            state_file: None,
            state_remedy: "remove it to begin with nothing".to_owned(),
            effects_file: None,
            opening_balance: Vec::new(),
            settings: Settings::default(),
            seed: 0,
        }
    }
}

/// A running simulator. Dropping it leaves it running until the runtime ends; see [`Simulator::shutdown`].
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    core: Arc<Core>,
    server: JoinHandle<()>,
    webhooks: JoinHandle<()>,
    keeper: JoinHandle<()>,
}

/// Starts a simulator and returns once it accepts connections.
///
/// # Errors
/// When the address cannot be bound, the effect log cannot be opened, the state's file cannot be loaded, or an opening balance names an
/// unknown currency.
pub async fn start(config: SimulatorConfig) -> anyhow::Result<Simulator> {
    let outage = Outage::default();
    let listener = FaultyListener::bind(config.listen, outage.clone())
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let address = listener.address();
    let effects = EffectLog::open(config.effects_file.as_deref())?;
    let mut state = State::new(config.settings, config.webhook, effects, config.seed);
    state.base_url = format!("http://{address}");
    match config
        .state_file
        .as_deref()
        .map(|file| keeping::load(file, &config.state_remedy))
        .transpose()?
        .flatten()
    {
        Some(kept) => state = kept.going_on(state),
        None => {
            for (code, amount) in &config.opening_balance {
                let currency = Currency::parse(code)?;
                resources::balance::top_up(&mut state, &Owner::Platform, *amount, currency);
            }
        }
    }
    let keeping = config.state_file.map(Keeping::new);
    let core = Arc::new(Core::new(state, config.secret_key, outage, config.seed, keeping));
    let keeper = tokio::spawn(keeper::run(Arc::clone(&core)));

    // Webhooks go to the same machine, in plain HTTP, and redirects count as failures.
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let webhooks = tokio::spawn(webhooks::run(Arc::clone(&core), client));
    let service = server::router(Arc::clone(&core)).into_make_service_with_connect_info::<Cut>();
    let stop = core.stop.clone();
    let server = tokio::spawn(async move {
        let served = axum::serve(listener, service)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "the simulator's server ended");
        }
    });
    Ok(Simulator {
        address,
        core,
        server,
        webhooks,
        keeper,
    })
}

impl Simulator {
    /// Returns the address that it listens on.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Returns its base URL, for `STRIPE_API_BASE`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops it: new connections are refused, running webhooks are given up (with a state file the next start sends them), requests get two seconds.
    pub async fn shutdown(mut self) {
        self.core.stop.cancel();
        if tokio::time::timeout(PATIENCE, &mut self.server).await.is_err() {
            self.server.abort();
        }
        if tokio::time::timeout(PATIENCE, &mut self.webhooks).await.is_err() {
            self.webhooks.abort();
        }
        // The keeper writes once more after the stop.
        if tokio::time::timeout(PATIENCE, &mut self.keeper).await.is_err() {
            self.keeper.abort();
        }
    }
}
