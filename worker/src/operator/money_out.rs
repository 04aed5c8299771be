//! `money-out`: stops and starts the sending of money, and shows its state.

use clap::Subcommand;
use serde_json::json;
use wallet_core::alarms;
use wallet_core::money_out as switch;
use wallet_core::reason::Reason;

use super::Session;
use super::session::moment;

/// The commands that control whether money may leave.
#[derive(Debug, Subcommand)]
pub(crate) enum MoneyOut {
    /// From now on nothing is sent out at Stripe: no transfer, no payout, no refund. Accepted requests wait;
    /// movements between wallets and incoming money continue.
    Stop {
        /// Why, for those who find it stopped.
        #[arg(long)]
        reason: Reason,
    },
    /// Let money leave again; what has waited continues within seconds.
    Start {
        /// Why, if anyone should ask.
        #[arg(long)]
        reason: Option<Reason>,
    },
    /// Show the current state: since when, set by whom, and why.
    Status,
}

/// Stops or starts money-out, or shows its state.
pub(crate) async fn money_out(session: &Session, command: MoneyOut) -> anyhow::Result<()> {
    let (db, actor, now) = (&session.db, &session.actor, session.now());
    let mut lines = Vec::new();
    let mut woken = None;
    let (kind, subject) = switch::ALARM;
    let found = alarms::find_open(&mut *db.conn().await?, kind.as_str(), subject).await?;
    let found = found.map(|alarm| alarm.message);
    match command {
        MoneyOut::Stop { reason } => {
            if !switch::stop(db, actor, reason.as_str(), now).await? {
                lines.push("it was stopped already".to_owned());
            }
        }
        MoneyOut::Start { reason } => {
            woken = switch::start(db, actor, reason.as_ref().map(Reason::as_str), now).await?;
            if let (Some(_), Some(found)) = (woken, &found) {
                lines.push(format!(
                    "a check had stopped it, or would have: {found}; it stops it again if that is still so"
                ));
            }
            lines.push(match woken {
                Some(woken) => format!("{woken} jobs have waited for it"),
                None => "it was not stopped".to_owned(),
            });
        }
        MoneyOut::Status => lines.extend(found.iter().map(|found| format!("a check says: {found}"))),
    }
    let state = switch::state(db).await?;
    let waiting = if state.is_open {
        0
    } else {
        switch::waiting(db).await?
    };
    let object = json!({
        "open": state.is_open, "changedAt": state.changed_at, "changedBy": state.changed_by, "reason": state.reason, "woken": woken,
        "waiting": waiting, "alarm": found,
    });
    lines.push(in_words(&state));
    if !state.is_open {
        lines.push(format!("{waiting} jobs wait for it"));
    }
    session.answer(&object, lines)
}

fn in_words(state: &switch::MoneyOut) -> String {
    let how = if state.is_open { "open" } else { "stopped" };
    let why = state
        .reason
        .as_deref()
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    let at = moment(state.changed_at);
    format!("money-out is {how}, since {at}, by {}{why}", state.changed_by)
}
