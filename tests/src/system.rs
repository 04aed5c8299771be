//! The parts of a running system: its environment, an API, workers.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::Once;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wallet_core::clock::SharedClock;
use wallet_core::config::{ApiConfig, LogConfig, ProcessEnv, WorkerConfig};
use wallet_core::telemetry;

/// `STRIPE_SECRET_KEY`.
pub const STRIPE_KEY: &str = "sk_test_9dQ2mZ7xK4vB1nR8";
/// Signs the platform's events.
pub const PLATFORM_SECRET: &str = "whsec_p3Vd8Qm1Zx7Lk5Tb";
/// Signs the events of connected accounts.
pub const CONNECT_SECRET: &str = "whsec_c9Hs2Wn6Yf4Rj0Ga";
/// `ENCRYPTION_SECRET_KEY`.
pub const ENCRYPTION_KEY: &str = "9c1185a5c5e9fc54612808977ee8f548b2258d31ddadef707ba7a2b8b7e1f0a3";
/// `JWT_SECRET`.
pub const JWT_SECRET: &str = "mD3x8Wq0Zr7Yt2Kp5Vn9Lb4Hs6Jf1Gc3";

/// How long to wait for an API or worker to end: more than their own grace.
const END_WITHIN: Duration = Duration::from_secs(20);

/// The environment of a system.
#[derive(Debug, Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// The same variables with some replaced.
    #[must_use]
    pub fn with(&self, more: &[(&str, &str)]) -> Self {
        let mut all = self.clone();
        for (name, value) in more {
            all.set(name, *value);
        }
        all
    }

    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The same variables without one.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        let mut all = self.clone();
        all.0.remove(name);
        all
    }

    /// Each name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn reader(&self) -> impl Fn(&str) -> Option<OsString> + '_ {
        |name| self.0.get(name).map(OsString::from)
    }
}

/// Shows logs if `RUST_LOG` is set: `RUST_LOG=wallet_core=debug cargo test …`.
pub fn show_logs() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if std::env::var_os("RUST_LOG").is_some() {
            // Another test of this process may have done so.
            let _ = telemetry::init("tests", &LogConfig::read(&ProcessEnv).unwrap());
        }
    });
}

/// An API that serves in this process.
#[derive(Debug)]
pub struct Api {
    /// Its address.
    pub address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Api {
    /// Serves on `listener`.
    ///
    /// # Panics
    /// If the configuration is refused.
    pub async fn start(variables: &Variables, clock: SharedClock, listener: TcpListener) -> Self {
        let config = ApiConfig::read(&variables.reader()).unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let serving = wallet_api::serve(config, clock, listener, shutdown.clone());
        let task = tokio::spawn(async move { serving.await.expect("the API ended badly") });
        Self {
            address,
            shutdown,
            task,
        }
    }

    /// Ends it in good order.
    ///
    /// # Panics
    /// If it does not end in time.
    pub async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(END_WITHIN, self.task)
            .await
            .expect("the API does not end")
            .unwrap();
    }
}

/// A worker that works in this process.
#[derive(Debug)]
pub struct RunningWorker {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl RunningWorker {
    /// Starts one.
    ///
    /// # Panics
    /// If the configuration is refused.
    #[must_use]
    pub fn start(variables: &Variables, clock: SharedClock) -> Self {
        let config = WorkerConfig::read(&variables.reader()).unwrap();
        let shutdown = CancellationToken::new();
        let working = wallet_worker::run(config, clock, shutdown.clone());
        let task = tokio::spawn(async move { working.await.expect("the worker ended badly") });
        Self { shutdown, task }
    }

    /// Drains it.
    ///
    /// # Panics
    /// If it does not end in time.
    pub async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(END_WITHIN, self.task)
            .await
            .expect("the worker does not end")
            .unwrap();
    }
}
