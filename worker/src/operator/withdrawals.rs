//! `withdrawals`: decides about withdrawals that do not finish by themselves.

use anyhow::bail;
use clap::Subcommand;
use serde_json::json;
use wallet_core::alarms::{self, AlarmKind};
use wallet_core::ids::TransactionId;
use wallet_core::jobs::{self, JobKind, ParkedJob};
use wallet_core::reason::Reason;
use wallet_core::transactions::{self, Flow, Stage, Transaction};

use super::Session;
use super::decision::{decide, id_of, under_way};
use super::session::moment;

/// What a withdrawal waits for while its transfer is reversed (<https://docs.stripe.com/connect/pending-transfer-reversals>).
const RETURNING: &str =
    "which ends by itself when the account has the money; Stripe waits for that for up to 45 days";

/// Describes the parked jobs of a withdrawal with their reasons, if any: while it has one, the withdrawal does not end.
pub(super) fn parked_in_words(parked: &[ParkedJob], withdrawal: TransactionId) -> Option<String> {
    let words: Vec<String> = parked
        .iter()
        .filter(|job| job.transaction == Some(withdrawal))
        .map(|job| {
            let id = job.id;
            format!(
                "job {id} is parked: {}; `wallet-worker requeue {id}` puts it back",
                job.reason
            )
        })
        .collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// Withdrawals that do not finish by themselves: Stripe no longer shows us their payout, because the account
/// was disconnected or deleted while it was under way (`payout_unreachable`); or their payout cannot be made,
/// because the account has paid itself out (`payout_by_others`) or has a negative balance (`payout_unfunded`).
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
    /// End one as not paid: its transfer is reversed, and the wallet has the money again.
    TakenBack {
        /// The withdrawal.
        transaction: String,
        /// How you know, for the audit trail.
        #[arg(long)]
        reason: Reason,
    },
}

/// Lists the withdrawals, or queues a decision.
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

/// Returns the withdrawal if an operator has to decide about it.
async fn undecided(session: &Session, id: TransactionId) -> anyhow::Result<Transaction> {
    const LISTS: &str = "`wallet-worker withdrawals list` lists those that a person has to decide about";
    let parked = jobs::list_parked(&session.db).await?;
    let conn = &mut session.db.conn().await?;
    let Some(found) = transactions::find(conn, id).await? else {
        bail!("there is no transaction {id}; {LISTS}");
    };
    if found.stage == Stage::Returning {
        bail!("it is decided about {id}: {}", taken_back(&parked, id));
    }
    if found.flow != Flow::Withdrawal || !matches!(found.stage, Stage::Transferred | Stage::PayingOut) {
        let (flow, stage) = (found.flow.as_str(), found.stage.as_str());
        bail!("{id} is a {flow} that is {stage}, not a withdrawal that is being paid out; {LISTS}");
    }
    let subject = id.to_string();
    for kind in AlarmKind::ABOUT_PAYOUTS {
        if alarms::is_open_about(conn, kind, &subject).await? {
            return Ok(found);
        }
    }
    bail!(
        "nothing shows yet that a person has to decide about {id}: as a rule Stripe tells how its payout ends. That the account was disconnected is \
         found out within a minute or so: look again then; {LISTS}"
    )
}

/// Describes a decision about a withdrawal that is being carried out, or returns `None` while an operator has to decide.
pub(super) async fn decision_about(
    session: &Session,
    parked: &[ParkedJob],
    withdrawal: &Transaction,
) -> anyhow::Result<Option<String>> {
    if withdrawal.stage == Stage::Returning {
        return Ok(Some(taken_back(parked, withdrawal.id)));
    }
    under_way(session, withdrawal.id).await
}

/// Describes the state of a withdrawal whose transfer is reversed.
fn taken_back(parked: &[ParkedJob], withdrawal: TransactionId) -> String {
    match parked_in_words(parked, withdrawal) {
        Some(job) => format!("its transfer is to be taken back, and {job}"),
        None => format!("its transfer is being taken back, {RETURNING}"),
    }
}

async fn list(session: &Session) -> anyhow::Result<()> {
    let open = alarms::list_open(&session.db).await?;
    let parked = jobs::list_parked(&session.db).await?;
    let (mut lines, mut rows) = (Vec::new(), Vec::new());
    let (mut undecided, mut stuck) = (0_usize, 0_usize);
    let conn = &mut session.db.conn().await?;
    for alarm in open.iter().filter(|alarm| {
        alarm
            .known_kind()
            .is_some_and(|kind| AlarmKind::ABOUT_PAYOUTS.contains(&kind))
    }) {
        let withdrawal = match alarm.subject.parse() {
            Ok(id) => transactions::find(conn, id).await?,
            Err(_) => None,
        };
        let job = withdrawal
            .as_ref()
            .and_then(|found| parked_in_words(&parked, found.id));
        let decided = match &withdrawal {
            Some(found) => decision_about(session, &parked, found).await?,
            None => None,
        };
        let is_decided = decided.is_some();
        undecided += usize::from(!is_decided);
        stuck += usize::from(job.is_some());
        let how = match (decided, &job) {
            (Some(decided), _) => format!("  DECIDED: {decided}"),
            (None, Some(job)) => format!("  STUCK: {job}"),
            (None, None) => String::new(),
        };
        lines.push(format!(
            "since {}  {}  {}{how}",
            moment(alarm.raised_at),
            alarm.kind,
            alarm.message
        ));
        rows.push(
            json!({ "transaction": alarm.subject, "alarm": alarm.kind, "since": alarm.raised_at, "message": alarm.message, "decided": is_decided, "parked": job }),
        );
    }
    let waiting = if stuck > 0 {
        format!(", {stuck} that wait for a parked job")
    } else {
        String::new()
    };
    lines.push(format!("{undecided} withdrawals to decide about{waiting}"));
    session.answer(&json!({ "withdrawals": rows }), lines)
}
