//! `close-alarm`: closes an alarm whose cause is resolved.

use anyhow::bail;
use clap::Args;
use serde_json::json;
use wallet_core::alarms::{self, AlarmKind, OpenAlarm};
use wallet_core::audit::{self, AuditRecord};
use wallet_core::config::ChecksConfig;
use wallet_core::db::{DbError, in_transaction};
use wallet_core::ids::{JobId, TransactionId};
use wallet_core::reason::Reason;
use wallet_core::{inbox, jobs, ledger, money_out, transactions};

use super::Session;
use super::withdrawals::{decision_about, parked_in_words};

/// Which alarm, and why it may be closed.
#[derive(Debug, Args)]
pub(crate) struct CloseAlarm {
    /// The kind of the alarm, as `parked` lists it.
    kind: String,
    /// The subject of the alarm, as `parked` lists it.
    subject: String,
    /// What was found out, for the audit trail.
    #[arg(long)]
    reason: Reason,
    /// Close it although its cause will persist: an event is still parked, and nobody will ever need what it was about.
    #[arg(long)]
    force: bool,
}

/// The cause of an alarm that still persists.
enum Holds {
    /// A command removes the cause and closes the alarm.
    UntilDecided(String),
    /// The cause may persist for ever, and holds nothing up.
    UnlessForced(String),
}

/// Closes the alarm, on record, unless its cause persists.
pub(crate) async fn close_alarm(
    session: &Session,
    checks: &ChecksConfig,
    which: &CloseAlarm,
) -> anyhow::Result<()> {
    let (kind, subject) = (&which.kind, &which.subject);
    let open = alarms::find_open(&mut *session.db.conn().await?, kind, subject).await?;
    let Some(alarm) = open else {
        bail!("there is no open alarm {kind} {subject}; `wallet-worker parked` lists them");
    };
    match what_holds(session, checks, &alarm).await? {
        Some(Holds::UntilDecided(why)) => bail!("{kind} {subject} is not over: {why}"),
        Some(Holds::UnlessForced(why)) if !which.force => {
            bail!("{kind} {subject} is not over: {why}, or give --force if it will stay so")
        }
        _ => {}
    }
    let now = session.now();
    let is_closed = in_transaction!(session.db, conn => {
        // If the cause has occurred again since it was read above, the alarm was raised again.
        let is_closed = alarms::close_unless_seen_again(conn, &alarm, now).await?;
        if is_closed {
            let record = AuditRecord {
                detail: json!({ "kind": kind, "subject": subject, "reason": which.reason.as_str(), "force": which.force }),
                ..AuditRecord::new(now, &session.actor, "close_alarm")
            };
            audit::record(conn, &record).await?;
        }
        Ok::<bool, DbError>(is_closed)
    })?;
    if !is_closed {
        bail!("{kind} {subject} was raised again or closed at this moment: look at it again");
    }
    session.answer(
        &json!({ "closed": { "kind": kind, "subject": subject } }),
        ["the alarm is closed; a check that finds the same again raises it again".to_owned()],
    )
}

/// Returns what the database shows to persist; what only a check or a person can find out is not examined.
async fn what_holds(
    session: &Session,
    checks: &ChecksConfig,
    alarm: &OpenAlarm,
) -> anyhow::Result<Option<Holds>> {
    let (db, subject) = (&session.db, alarm.subject.as_str());
    let Some(kind) = alarm.known_kind() else {
        return Ok(None);
    };
    let holds = match kind {
        AlarmKind::JobParked => match subject.parse() {
            Ok(job) if jobs::is_parked(db, JobId(job)).await? => Some(Holds::UntilDecided(format!(
                "job {job} is parked; fix what it failed of and `wallet-worker requeue {job}`"
            ))),
            _ => None,
        },
        AlarmKind::EventParked => inbox::is_parked(db, subject).await?.then(|| {
            Holds::UnlessForced(format!(
                "the event is parked; fix what it failed of and `wallet-worker replay-events --id {subject}`"
            ))
        }),
        AlarmKind::MoneyOutStopped => (!money_out::state(db).await?.is_open).then(|| {
            Holds::UntilDecided(
                "no money goes out; `wallet-worker money-out start` lets it leave again".to_owned(),
            )
        }),
        // Without the scheduled check, nothing else would ever close the alarm.
        AlarmKind::PlatformBalanceShort | AlarmKind::PlatformBalanceTaken => checks.backing.map(|_| {
            Holds::UntilDecided(
                "the next look (PLATFORM_BALANCE_SECONDS) closes it when Stripe holds enough: pay in what it names".to_owned(),
            )
        }),
        AlarmKind::PaymentMismatch | AlarmKind::LatePayment | AlarmKind::ReturnFailed => in_suspense(session, subject).await?,
        AlarmKind::DisputeDiffers => given_back(session, subject).await?,
        kind if AlarmKind::ABOUT_PAYOUTS.contains(&kind) => being_paid_out(session, subject).await?,
        _ => None,
    };
    Ok(holds)
}

async fn in_suspense(session: &Session, subject: &str) -> anyhow::Result<Option<Holds>> {
    let Ok(transaction) = subject.parse::<TransactionId>() else {
        return Ok(None);
    };
    let lies = ledger::suspended_of(&mut *session.db.conn().await?, transaction).await?;
    Ok(lies.first().map(|one| {
        let decide = if one.amount.is_positive() {
            format!(
                "`wallet-worker review credit {transaction}` or `review return {transaction}`, or `review close` when nothing of the payment can be \
                 given back"
            )
        } else {
            format!("`wallet-worker review close {transaction}`")
        };
        Holds::UntilDecided(format!("{} lies in suspense; {decide}", one.amount))
    }))
}

/// Checks for a dispute's surplus in suspense: what it returned beyond what it took belongs to no payment.
async fn given_back(session: &Session, subject: &str) -> anyhow::Result<Option<Holds>> {
    let Ok(dispute) = subject.parse::<TransactionId>() else {
        return Ok(None);
    };
    let lies = ledger::suspended_of(&mut *session.db.conn().await?, dispute).await?;
    Ok(lies.first().map(|one| {
        Holds::UntilDecided(format!(
            "{} lies in suspense; find out from Stripe whose it is, and `wallet-worker review close {dispute}` when it is the platform's",
            one.amount
        ))
    }))
}

/// Checks whether the withdrawal is still undecided: without its alarm, no decision about it could be made.
async fn being_paid_out(session: &Session, subject: &str) -> anyhow::Result<Option<Holds>> {
    let Ok(withdrawal) = subject.parse::<TransactionId>() else {
        return Ok(None);
    };
    let found = transactions::find(&mut *session.db.conn().await?, withdrawal).await?;
    let decide =
        format!("`wallet-worker withdrawals paid {withdrawal}` or `withdrawals taken-back {withdrawal}`");
    let parked = jobs::list_parked(&session.db).await?;
    let Some(found) = found.filter(|found| !found.stage.status().is_final()) else {
        return Ok(None);
    };
    let stage = found.stage.as_str();
    let decided = decision_about(session, &parked, &found).await?;
    let why = match (decided, parked_in_words(&parked, withdrawal)) {
        (Some(decided), _) => format!("it is decided: {decided}"),
        (None, Some(job)) => format!("the withdrawal is {stage}; {decide}; {job}"),
        (None, None) => format!("the withdrawal is {stage}; {decide}"),
    };
    Ok(Some(Holds::UntilDecided(why)))
}
