//! The payments of a stack: the Stripe simulator, run as a process of its own, or the real Stripe in test mode.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};

use super::env::Env;
use super::process::{Process, ProcessSpec};
use super::secrets::Secrets;
use super::{http, port, program};

/// The Stripe that a stack uses.
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

/// The options with which the simulator is started.
#[derive(Debug, Clone, Default)]
pub struct SimulatorOptions {
    /// The port, or `None` for any free one.
    pub port: Option<u16>,
    /// A file to which one JSON line is written for every effect.
    pub effect_log: Option<PathBuf>,
    /// Further arguments of `wallet-dev stripe`.
    pub args: Vec<String>,
}

/// A running simulator.
#[derive(Debug)]
pub struct Simulator {
    process: Process,
    base: String,
}

impl Simulator {
    /// Starts `wallet-dev stripe`, which sends its events to `webhook_url`, and waits until it responds.
    ///
    /// # Errors
    /// When the program has not been built or does not start.
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
        // Secrets are passed in the environment: every user of the machine can see arguments.
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

    /// Returns its URL, without a path: `STRIPE_API_BASE`.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Returns its process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Returns its process, to wait for it or kill it.
    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// Returns `STRIPE_WEBHOOK_SECRET` of a stack with the simulator: the platform's secret, then the one of connected accounts.
pub(crate) fn webhook_secrets(secrets: &Secrets) -> String {
    format!("{},{}", secrets.webhook_platform, secrets.webhook_connect)
}

/// Returns the payments that the shell configures: the real Stripe if its `STRIPE_SECRET_KEY` is Stripe's, otherwise `None`.
///
/// # Errors
/// When the key is a live one, or the webhook secret is missing; the message explains how to get it.
pub fn stripe_from_shell(webhook_url: &str, own: Option<&Secrets>) -> Result<Option<Payments>> {
    stripe_from(|name| std::env::var(name).unwrap_or_default(), webhook_url, own)
}

/// Ignores a key that a stack made for its simulator, which the shell may have from `eval "$(bin/dev env)"`. This stack's own key is
/// known; with the key of any other stack, the shell also has the address of its simulator.
fn stripe_from(
    shell: impl Fn(&str) -> String,
    webhook_url: &str,
    own: Option<&Secrets>,
) -> Result<Option<Payments>> {
    let secret_key = shell("STRIPE_SECRET_KEY");
    let is_made_up =
        own.is_some_and(|own| own.stripe_key == secret_key) || is_on_this_machine(&shell("STRIPE_API_BASE"));
    if secret_key.is_empty() || is_made_up {
        return Ok(None);
    }
    if secret_key.starts_with("sk_live_") || secret_key.starts_with("rk_live_") {
        bail!(UnusableEnvironment(
            "STRIPE_SECRET_KEY is a live key: a development stack takes test keys only (sk_test_…)"
                .to_owned()
        ));
    }
    let webhook_secret = shell("STRIPE_WEBHOOK_SECRET");
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

/// Returns whether a base URL leads to this machine, where only simulators run.
fn is_on_this_machine(base: &str) -> bool {
    let host = base.split_once("://").map_or("", |(_, rest)| rest);
    ["127.", "localhost", "[::1]"]
        .iter()
        .any(|here| host.starts_with(here))
}

/// A variable of the shell that the stack cannot work with, and the fix.
#[derive(Debug)]
pub struct UnusableEnvironment(String);

impl std::fmt::Display for UnusableEnvironment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for UnusableEnvironment {}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://127.0.0.1:8080/wallet/webhook";

    fn chosen(shell: &[(&str, &str)], own: Option<&Secrets>) -> Result<bool> {
        let value = |name: &str| {
            let found = shell.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned()).unwrap_or_default()
        };
        Ok(stripe_from(value, URL, own)?.is_some())
    }

    #[test]
    fn a_shell_that_took_over_a_stacks_environment_is_no_shell_with_a_key_of_stripes() {
        let (own, other) = (Secrets::generate(), Secrets::generate());
        let key = ("STRIPE_SECRET_KEY", own.stripe_key.as_str());
        let base = ("STRIPE_API_BASE", "http://127.0.0.1:12111");
        // The output of `bin/dev env` of the same stack and of another one, and without the base.
        let hook = ("STRIPE_WEBHOOK_SECRET", "whsec_1");
        assert!(!chosen(&[key, base, hook], Some(&own)).unwrap());
        assert!(!chosen(&[key, base, hook], Some(&other)).unwrap());
        assert!(!chosen(&[key, base, hook], None).unwrap());
        assert!(!chosen(&[key], Some(&own)).unwrap());
        assert!(!chosen(&[], Some(&own)).unwrap());
    }

    #[test]
    fn a_test_key_of_stripes_means_the_real_stripe_and_asks_for_what_it_needs() {
        let own = Secrets::generate();
        let (key, hook) = (
            ("STRIPE_SECRET_KEY", "sk_test_51abc"),
            ("STRIPE_WEBHOOK_SECRET", "whsec_1"),
        );
        assert!(chosen(&[key, hook], Some(&own)).unwrap());
        let real = ("STRIPE_API_BASE", "https://api.stripe.com");
        assert!(chosen(&[key, hook, real], Some(&own)).unwrap());
        let told = chosen(&[key], Some(&own)).unwrap_err().to_string();
        assert!(told.contains("stripe listen") && told.contains(URL), "{told}");
        let live = ("STRIPE_SECRET_KEY", "sk_live_51abc");
        let told = chosen(&[live, hook], Some(&own)).unwrap_err().to_string();
        assert!(told.contains("live key"), "{told}");
    }
}
