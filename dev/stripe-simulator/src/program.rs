//! The simulator as a program: its arguments, and running it until a signal stops it. Shared by the simulator's own program and any other
//! that has it as one of its commands.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{Settings, SimulatorConfig, WebhookTarget, start};

/// The command line of a simulator. A command that takes these arguments sets its own `about`, otherwise clap shows this sentence as its
/// description.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 12_111)]
    port: u16,
    /// Where events are sent; POST /_control/webhook sets it later.
    #[arg(long, value_name = "URL", requires = "webhook_secret")]
    webhook_url: Option<String>,
    /// The secrets that sign events: the platform's and, after a comma, the one for connected accounts.
    #[arg(
        long,
        value_name = "SECRET[,SECRET]",
        env = "STRIPE_WEBHOOK_SECRET",
        hide_env_values = true
    )]
    webhook_secret: Option<String>,
    /// Keep the state in this file and continue with what it holds; without it the state is forgotten.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Append every effect to this file, as a JSON line.
    #[arg(long, value_name = "FILE")]
    effect_log: Option<PathBuf>,
    /// The platform's balance at the start, in minor units; can be repeated.
    #[arg(long, value_name = "CURRENCY=AMOUNT", value_parser = parse_balance)]
    balance: Vec<(String, i64)>,
    /// Delays, fees and modes, as for POST /_control/settings: '{"payout_mode": "manual"}'
    #[arg(long, value_name = "JSON", value_parser = parse_settings, default_value = "{}")]
    settings: Settings,
    /// The seed of random faults, so that a run can be repeated.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn parse_balance(text: &str) -> Result<(String, i64), String> {
    let expected = || format!("\"{text}\" is no balance such as usd=100000");
    let (currency, amount) = text.split_once('=').ok_or_else(expected)?;
    Ok((currency.to_owned(), amount.parse().map_err(|_| expected())?))
}

fn parse_settings(text: &str) -> Result<Settings, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

impl From<Arguments> for SimulatorConfig {
    fn from(arguments: Arguments) -> Self {
        let webhook = arguments.webhook_url.zip(arguments.webhook_secret);
        let webhook = webhook.map(|(url, secrets)| {
            let (platform, connect) = secrets.split_once(',').unwrap_or((&secrets, ""));
            WebhookTarget::new(url, platform, Some(connect.to_owned()))
        });
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port)),
            webhook,
            state_file: arguments.state,
            effects_file: arguments.effect_log,
            opening_balance: arguments.balance,
            settings: arguments.settings,
            seed: arguments.seed,
            ..Self::default()
        }
    }
}

/// Runs a simulator until Ctrl-C, `kill` or the end of its terminal. It prints its address on standard output, and logs to standard error
/// as `RUST_LOG` says.
///
/// # Errors
/// When it cannot be started, as for [`start`].
///
/// # Panics
/// When the process has a logger already.
pub async fn run(config: SimulatorConfig) -> Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let mut stop = Stop::catch()?;
    let simulator = start(config).await?;
    say(&format!(
        "Stripe simulator on {}  (Ctrl-C stops it)",
        simulator.url()
    ));
    stop.asked().await;
    simulator.shutdown().await;
    Ok(())
}

/// Prints one line at once. If its reader has gone away, that is ignored.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Receives the signals that request a program to stop. Once it is created they no longer end the program by themselves.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Stop {
    fn catch() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::PayoutMode;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn given(arguments: &[&str]) -> Result<SimulatorConfig, clap::Error> {
        let program = Program::try_parse_from([&["program"], arguments].concat())?;
        Ok(program.arguments.into())
    }

    #[test]
    fn nothing_is_reachable_from_elsewhere_and_nothing_is_kept_unless_asked_for() {
        let config = given(&[]).unwrap();
        assert_eq!(config.listen, SocketAddr::from(([127, 0, 0, 1], 12_111)));
        assert!(config.webhook.is_none());
        assert!(config.state_file.is_none() && config.effects_file.is_none());
        assert!(config.opening_balance.is_empty());
    }

    #[test]
    fn arguments_become_a_configuration() {
        let config = given(&[
            "--port=0",
            "--webhook-url=http://127.0.0.1:8080/hook",
            "--webhook-secret=whsec_1,whsec_2",
            "--state=state.json",
            "--effect-log=effects.jsonl",
            "--balance=usd=100",
            "--balance=eur=-5",
            r#"--settings={"payout_mode": "manual"}"#,
            "--seed=7",
        ])
        .unwrap();
        assert_eq!(config.listen.port(), 0);
        let webhook = config.webhook.unwrap();
        assert_eq!(webhook.url, "http://127.0.0.1:8080/hook");
        assert_eq!(webhook.platform_secret, "whsec_1");
        assert_eq!(webhook.connect_secret.as_deref(), Some("whsec_2"));
        assert_eq!(config.state_file, Some(PathBuf::from("state.json")));
        assert_eq!(config.effects_file, Some(PathBuf::from("effects.jsonl")));
        let balances = [("usd".to_owned(), 100), ("eur".to_owned(), -5)];
        assert_eq!(config.opening_balance, balances);
        assert_eq!(config.settings.payout_mode, PayoutMode::Manual);
        assert_eq!(config.seed, 7);
    }

    #[test]
    fn a_mistake_is_told_with_what_is_expected() {
        for (argument, told) in [
            ("--balance=usd", "usd=100000"),
            ("--balance=usd=1.50", "usd=100000"),
            (r#"--settings={"fees": 0}"#, "unknown field `fees`"),
            ("--port=http", "--port"),
            ("--colour=blue", "--colour"),
        ] {
            let error = given(&[argument]).unwrap_err().to_string();
            assert!(error.contains(told), "{argument}: {error}");
        }
    }
}
