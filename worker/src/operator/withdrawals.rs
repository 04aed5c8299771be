//! `withdrawals`.

use anyhow::bail;
use clap::Subcommand;
use serde_json::json;
use wallet_core::alarms;
use wallet_core::flows::{Flow, Stage};
use wallet_core::ids::TransactionId;
use wallet_core::jobs::JobKind;
use wallet_core::reason::Reason;
use wallet_core::transactions::{self, Transaction};

use super::Session;
use super::decision::{decide, id_of};
use super::session::moment;

/// What a withdrawal waits for whose transfer is taken back (<https://docs.stripe.com/connect/pending-transfer-reversals>).
pub(super) const RETURNING: &str =
    "which ends by itself when the account has the money; Stripe waits for that for up to 45 days";

/// Withdrawals that go no further by themselves: Stripe no longer shows their payout to us, because the account was disconnected or deleted while
/// it was under way (`payout_unreachable`); or their payout cannot be made, because the account has paid itself out (`payout_by_others`) or is in the red
/// (`payout_unfunded`).
#[derive(Debug, Subcommand)]
pub(crate) enum Withdrawals {
    /// List them, the oldest alarm first.
    List,
    /// End one as paid: the bank has the money.
    Paid {
        /// The withdrawal.
        transaction: String,
        /// How you know, for the audit trail.
        #[arg(long)]
        reason: Reason,
    },
    /// End one as not paid: its transfer is taken back, and the wallet has the money again.
    TakenBack {
        /// The withdrawal.
        transaction: String,
        /// How you know, for the audit trail.
        #[arg(long)]
        reason: Reason,
    },
}

/// Lists or decides.
pub(crate) async fn withdrawals(session: &Session, command: Withdrawals) -> anyhow::Result<()> {
    let (transaction, reason, kind, what) = match command {
        Withdrawals::List => return list(session).await,
        Withdrawals::Paid { transaction, reason } => {
            (transaction, reason, JobKind::WithdrawalPaid, "end it as paid")
        }
        Withdrawals::TakenBack { transaction, reason } => (
            transaction,
            reason,
            JobKind::WithdrawalTakenBack,
            "have its transfer taken back",
        ),
    };
    let withdrawal = undecided(session, id_of(&transaction)?).await?;
    decide(session, &withdrawal, kind, &reason, what).await
}

/// The withdrawal, if a person has to decide about it.
async fn undecided(session: &Session, id: TransactionId) -> anyhow::Result<Transaction> {
    const LISTS: &str = "`wallet-worker withdrawals list` lists those that a person has to decide about";
    let conn = &mut session.db.conn().await?;
    let Some(found) = transactions::find(conn, id).await? else {
        bail!("there is no transaction {id}; {LISTS}");
    };
    if found.stage == Stage::Returning {
        bail!("it is decided about {id}: its transfer is being taken back, {RETURNING}");
    }
    if found.flow != Flow::Withdrawal || !matches!(found.stage, Stage::Transferred | Stage::PayingOut) {
        let (flow, stage) = (found.flow.as_str(), found.stage.as_str());
        bail!("{id} is a {flow} that is {stage}, not a withdrawal that is being paid out; {LISTS}");
    }
    let subject = id.to_string();
    for kind in alarms::ABOUT_PAYOUTS {
        if alarms::is_open_about(conn, kind, &subject).await? {
            return Ok(found);
        }
    }
    bail!("Stripe tells how the payout of {id} ends, so nobody has to decide; {LISTS}")
}

async fn list(session: &Session) -> anyhow::Result<()> {
    let open = alarms::list_open(&session.db).await?;
    let (mut lines, mut rows) = (Vec::new(), Vec::new());
    let mut undecided = 0_usize;
    let conn = &mut session.db.conn().await?;
    for alarm in open
        .iter()
        .filter(|alarm| alarms::ABOUT_PAYOUTS.contains(&alarm.kind.as_str()))
    {
        let withdrawal = match alarm.subject.parse() {
            Ok(id) => transactions::find(conn, id).await?,
            Err(_) => None,
        };
        let is_decided = withdrawal.is_some_and(|found| found.stage == Stage::Returning);
        undecided += usize::from(!is_decided);
        let decided = if is_decided {
            format!("  DECIDED: its transfer is being taken back, {RETURNING}")
        } else {
            String::new()
        };
        lines.push(format!(
            "since {}  {}  {}{decided}",
            moment(alarm.raised_at),
            alarm.kind,
            alarm.message
        ));
        rows.push(
            json!({ "transaction": alarm.subject, "alarm": alarm.kind, "since": alarm.raised_at, "message": alarm.message, "decided": is_decided }),
        );
    }
    lines.push(format!("{undecided} withdrawals to decide about"));
    session.answer(&json!({ "withdrawals": rows }), lines)
}
