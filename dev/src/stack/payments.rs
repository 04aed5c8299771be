//! Where payments go: to the Stripe simulator, run as a process of its own, or to the real Stripe in test mode.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};

use super::env::Env;
use super::process::{Process, ProcessSpec};
use super::secrets::Secrets;
use super::{http, port, program};

/// Which Stripe a stack uses.
#[derive(Clone)]
pub enum Payments {
    /// The simulator, in a process of its own.
    Simulator(SimulatorOptions),
    /// The real Stripe.
    Stripe {
        /// `STRIPE_SECRET_KEY`.
        secret_key: String,
        /// `STRIPE_WEBHOOK_SECRET`.
        webhook_secret: String,
    },
}

/// How the simulator is started.
#[derive(Debug, Clone, Default)]
pub struct SimulatorOptions {
    /// The port; without one, any free one.
    pub port: Option<u16>,
    /// A file that gets one JSON line for every effect.
    pub effect_log: Option<PathBuf>,
    /// More arguments of `wallet-dev stripe`.
    pub args: Vec<String>,
}

/// A running simulator.
#[derive(Debug)]
pub struct Simulator {
    process: Process,
    base: String,
}

impl Simulator {
    /// Starts `wallet-dev stripe`, which sends its events to `webhook_url`, and waits until it answers.
    ///
    /// # Errors
    /// When the program has not been built or does not come up.
    pub async fn start(
        options: &SimulatorOptions,
        secrets: &Secrets,
        webhook_url: &str,
        log: PathBuf,
    ) -> Result<Self> {
        let port = match options.port {
            Some(port) => port,
            None => port::free()?,
        };
        let mut args = vec![
            "stripe".to_owned(),
            "--port".to_owned(),
            port.to_string(),
            "--webhook-url".to_owned(),
            webhook_url.to_owned(),
        ];
        if let Some(file) = &options.effect_log {
            args.extend(["--effect-log".to_owned(), file.display().to_string()]);
        }
        args.extend(options.args.iter().cloned());
        // Secrets go by the environment: arguments can be seen by everybody on the machine.
        let env = Env::new().with("STRIPE_WEBHOOK_SECRET", webhook_secrets(secrets));
        let spec = ProcessSpec::new("Stripe simulator", &program::find("wallet-dev")?, &log)
            .args(args)
            .env(env);
        let mut simulator = Self {
            process: spec.spawn()?,
            base: format!("http://127.0.0.1:{port}"),
        };
        let url = format!("{}/_control/state", simulator.base);
        http::wait_until_ready(&url, &mut simulator.process, Duration::from_secs(20)).await?;
        Ok(simulator)
    }

    /// Its URL, without a path: `STRIPE_API_BASE`.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Its process, to wait for it or kill it.
    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// `STRIPE_WEBHOOK_SECRET` of a stack with the simulator: the platform's secret, then the one of connected accounts.
pub(crate) fn webhook_secrets(secrets: &Secrets) -> String {
    format!("{},{}", secrets.webhook_platform, secrets.webhook_connect)
}

/// What the shell says about payments: the real Stripe when it has `STRIPE_SECRET_KEY`, otherwise nothing.
///
/// # Errors
/// When the key is a live one, or the webhook secret is missing: the message says how to get it.
pub fn stripe_from_shell(webhook_url: &str) -> Result<Option<Payments>> {
    let secret_key = std::env::var("STRIPE_SECRET_KEY").unwrap_or_default();
    if secret_key.is_empty() {
        return Ok(None);
    }
    if secret_key.starts_with("sk_live_") || secret_key.starts_with("rk_live_") {
        bail!(UnusableEnvironment(
            "STRIPE_SECRET_KEY is a live key: a development stack takes test keys only (sk_test_…)"
                .to_owned()
        ));
    }
    let webhook_secret = std::env::var("STRIPE_WEBHOOK_SECRET").unwrap_or_default();
    if webhook_secret.is_empty() {
        bail!(UnusableEnvironment(format!(
            "STRIPE_SECRET_KEY is set, so the real Stripe is used, and STRIPE_WEBHOOK_SECRET is missing. Run\n  \
             stripe listen --forward-to {webhook_url} --forward-connect-to {webhook_url}\n\
             and set STRIPE_WEBHOOK_SECRET to the whsec_… it prints (unset STRIPE_SECRET_KEY to use the simulator)."
        )));
    }
    Ok(Some(Payments::Stripe {
        secret_key,
        webhook_secret,
    }))
}

/// A variable of the shell that the stack cannot work with, and the mend.
#[derive(Debug)]
pub struct UnusableEnvironment(String);

impl std::fmt::Display for UnusableEnvironment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for UnusableEnvironment {}
