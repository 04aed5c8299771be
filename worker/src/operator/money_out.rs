//! `money-out`.

use clap::Subcommand;
use wallet_core::audit::Actor;
use wallet_core::config::WorkerConfig;
use wallet_core::money_out as switch;

use super::{clock, connect, say};

/// The commands about money that leaves.
#[derive(Debug, Subcommand)]
pub(crate) enum MoneyOut {
    /// From now on nothing is sent out at Stripe: no transfer, no payout, no refund. Whatever is accepted waits; what is inside goes on,
    /// and what comes back does too.
    Stop {
        /// Why, for those who find it stopped.
        #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
        reason: String,
    },
    /// Let money leave again; what has waited goes on within seconds.
    Start {
        /// Why, if somebody may ask.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Say how it stands, since when, by whom and why.
    Status,
}

/// Stops, starts or tells.
pub(crate) async fn money_out(config: &WorkerConfig, command: MoneyOut) -> anyhow::Result<()> {
    let db = connect(config).await?;
    let now = clock().now();
    match command {
        MoneyOut::Stop { reason } => {
            if !switch::stop(&db, &Actor::Operator, &reason, now).await? {
                say("it was stopped already")?;
            }
        }
        MoneyOut::Start { reason } => {
            match switch::start(&db, &Actor::Operator, reason.as_deref(), now).await? {
                Some(woken) => say(&format!("{woken} jobs have waited for it"))?,
                None => say("it was not stopped")?,
            }
        }
        MoneyOut::Status => {}
    }
    say(&in_words(&switch::state(&db).await?))
}

fn in_words(state: &switch::MoneyOut) -> String {
    let how = if state.is_open { "open" } else { "stopped" };
    let why = state
        .reason
        .as_deref()
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    let at = state.changed_at.format("%Y-%m-%d %H:%M:%S UTC");
    format!("money-out is {how}, since {at}, by {}{why}", state.changed_by)
}
