//! Alarms: contradictions and parked work, open until somebody closes them.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Text, Timestamptz};
use diesel_async::RunQueryDsl;

use crate::db::schema::alarms;
use crate::db::{Db, DbError, PgConn, sql};

/// Each kind with what it says, and all of them. An operator finds every one in `docs/operations.md`, with what to do.
macro_rules! kinds {
    ($($(#[$says:meta])* $name:ident = $kind:literal;)*) => {
        $($(#[$says])* pub const $name: &str = $kind;)*
        /// Every kind of alarm.
        pub const KINDS: &[&str] = &[$($name),*];
    };
}

kinds! {
    /// Another amount was received than was asked for; it lies in suspense.
    PAYMENT_MISMATCH = "payment_mismatch";
    /// Money was received for what had ended; it lies in suspense.
    LATE_PAYMENT = "late_payment";
    /// A refund of what lies in suspense did not reach the payer; the money lies in suspense again.
    RETURN_FAILED = "return_failed";
    /// What is said of a dispute that has ended, and what it did to the balance, do not agree; the books follow the balance.
    DISPUTE_DIFFERS = "dispute_differs";
    /// The queue's Redis held what is no task of ours; it was put aside.
    QUEUE_GARBAGE = "queue_garbage";
    /// A wallet's lock that no worker of ours can hold lawfully keeps its money waiting.
    LOCK_OVERDUE = "lock_overdue";
    /// Fewer than a majority of the lock nodes can be written to, so no wallet can be locked.
    LOCK_QUORUM_LOST = "lock_quorum_lost";
    /// Data keys of some persons are under a wrapping key that is not configured.
    ENCRYPTION_KEY_MISSING = "encryption_key_missing";
    /// Stripe refuses the platform's key, so nothing that needs Stripe goes on.
    STRIPE_KEY_REFUSED = "stripe_key_refused";
    /// Stripe pays the platform's balance, and with it users' money, out by a schedule of its own.
    PLATFORM_PAYOUT_SCHEDULE = "platform_payout_schedule";
    /// A configured settlement currency is none in which Stripe says that it pays the platform.
    PLATFORM_SETTLEMENT = "platform_settlement";
    /// The connected account has paid itself out before our payout was made, perhaps with the money of a withdrawal.
    PAYOUT_BY_OTHERS = "payout_by_others";
    /// Stripe shows the payout of a withdrawal to us no longer, so nobody here learns how it ends.
    PAYOUT_UNREACHABLE = "payout_unreachable";
    /// The connected account does not have the money that our transfer brought, so the payout of a withdrawal waits for it.
    PAYOUT_UNFUNDED = "payout_unfunded";
    /// An object at Stripe claims to be one that we made for a transaction, and is not.
    FOREIGN_OBJECT = "foreign_object";
    /// Stripe has several objects that one call of ours may have made.
    MADE_TWICE = "made_twice";
    /// A job goes no further by itself.
    JOB_PARKED = "job_parked";
    /// An event of Stripe goes no further by itself.
    EVENT_PARKED = "event_parked";
    /// An event came twice, with different bodies.
    EVENT_BODY_DIFFERS = "event_body_differs";
    /// What was told cannot follow what has happened.
    CONTRADICTION = "contradiction";
    /// What was told is of no transaction here.
    UNKNOWN_TRANSACTION = "unknown_transaction";
    /// More is disputed than is left of the payment.
    DISPUTE_EXCEEDS_PAYMENT = "dispute_exceeds_payment";
    /// Somebody took a transfer back at Stripe.
    TRANSFER_REVERSED_OUTSIDE = "transfer_reversed_outside";
    /// A payment was credited, and settled in another currency.
    SETTLEMENT_DIFFERS = "settlement_differs";
    /// A person owes more than is tolerated.
    DEBT_ABOVE_LIMIT = "debt_above_limit";
    /// The books do not agree with themselves.
    INVARIANT_VIOLATED = "invariant_violated";
    /// The books and Stripe do not agree, and nothing explains it.
    RECONCILIATION_DIFFERS = "reconciliation_differs";
    /// A check failed several times in a row.
    CHECK_NOT_MADE = "check_not_made";
    /// Stripe holds less than the wallets hold.
    PLATFORM_BALANCE_SHORT = "platform_balance_short";
    /// Stripe holds less than the books explain.
    PLATFORM_BALANCE_TAKEN = "platform_balance_taken";
    /// Stripe refuses to open connected accounts for the platform, so nobody new can be paid out.
    ONBOARDING_REFUSED = "onboarding_refused";
    /// Stripe keeps a part of what the wallets hold back as a security, so that it cannot be sent for now.
    PLATFORM_BALANCE_RESERVED = "platform_balance_reserved";
    /// A check has stopped money from leaving.
    MONEY_OUT_STOPPED = "money_out_stopped";
    /// A partition of the next months could not be made.
    PARTITIONS_MISSING = "partitions_missing";
}

/// Those about a withdrawal that goes no further by itself, whose end a person finds out: its subject is the withdrawal.
pub const ABOUT_PAYOUTS: [&str; 3] = [PAYOUT_UNREACHABLE, PAYOUT_BY_OTHERS, PAYOUT_UNFUNDED];

/// An alarm that nobody has closed.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = alarms)]
pub struct OpenAlarm {
    /// What kind of trouble.
    pub kind: String,
    /// With what.
    pub subject: String,
    /// In words.
    pub message: String,
    /// How often it was raised.
    pub seen: i32,
    /// When first.
    pub raised_at: DateTime<Utc>,
}

/// Raises an alarm, or counts it again if one of the same kind and subject is open. `message` carries no secret and no personal data.
///
/// # Errors
/// When the database cannot be reached.
pub async fn raise(
    conn: &mut PgConn,
    kind: &str,
    subject: &str,
    message: &str,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    tracing::warn!(alarm = kind, subject, "{message}");
    sql("INSERT INTO alarms (kind, subject, message, raised_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (kind, subject) WHERE closed_at IS NULL DO UPDATE SET seen = alarms.seen + 1, message = excluded.message")
    .bind::<Text, _>(kind)
    .bind::<Text, _>(subject)
    .bind::<Text, _>(message)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// Opens the newest alarm of this kind and subject again if it was closed after `closed_after` and none is open: what comes and goes is one
/// alarm, and not a row each time.
///
/// # Errors
/// When the database cannot be reached.
pub async fn reopen(
    conn: &mut PgConn,
    kind: &str,
    subject: &str,
    closed_after: DateTime<Utc>,
) -> Result<(), DbError> {
    sql("UPDATE alarms SET closed_at = NULL
          WHERE id = (SELECT id FROM alarms WHERE kind = $1 AND subject = $2 ORDER BY id DESC LIMIT 1) AND closed_at > $3")
    .bind::<Text, _>(kind)
    .bind::<Text, _>(subject)
    .bind::<Timestamptz, _>(closed_after)
    .execute(conn)
    .await?;
    Ok(())
}

/// Closes the open alarm of this kind and subject, if there is one.
///
/// # Errors
/// When the database cannot be reached.
pub async fn close(
    conn: &mut PgConn,
    kind: &str,
    subject: &str,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let open = alarms::table
        .filter(alarms::kind.eq(kind))
        .filter(alarms::subject.eq(subject))
        .filter(alarms::closed_at.is_null());
    Ok(diesel::update(open)
        .set(alarms::closed_at.eq(now))
        .execute(conn)
        .await?
        == 1)
}

/// Closes an alarm that was listed before, unless it was raised again since.
///
/// # Errors
/// When the database cannot be reached.
pub async fn close_unless_seen_again(
    conn: &mut PgConn,
    listed: &OpenAlarm,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let unchanged = alarms::table
        .filter(alarms::kind.eq(&listed.kind))
        .filter(alarms::subject.eq(&listed.subject))
        .filter(alarms::seen.eq(listed.seen))
        .filter(alarms::raised_at.eq(listed.raised_at))
        .filter(alarms::closed_at.is_null());
    Ok(diesel::update(unchanged)
        .set(alarms::closed_at.eq(now))
        .execute(conn)
        .await?
        == 1)
}

/// Whether an alarm of this kind is open, with whatever subject.
///
/// # Errors
/// When the database cannot be reached.
pub async fn is_open(db: &Db, kind: &str) -> Result<bool, DbError> {
    let open = alarms::table
        .filter(alarms::kind.eq(kind))
        .filter(alarms::closed_at.is_null());
    Ok(diesel::select(diesel::dsl::exists(open))
        .get_result(&mut db.conn().await?)
        .await?)
}

/// The open alarms of this kind.
///
/// # Errors
/// When the database cannot be reached.
pub async fn open_of(conn: &mut PgConn, kind: &str) -> Result<Vec<OpenAlarm>, DbError> {
    Ok(alarms::table
        .filter(alarms::kind.eq(kind))
        .filter(alarms::closed_at.is_null())
        .order(alarms::raised_at.asc())
        .select(OpenAlarm::as_select())
        .load(conn)
        .await?)
}

/// The subjects of the open alarms of this kind.
///
/// # Errors
/// When the database cannot be reached.
pub async fn open_subjects(conn: &mut PgConn, kind: &str) -> Result<Vec<String>, DbError> {
    Ok(alarms::table
        .filter(alarms::kind.eq(kind))
        .filter(alarms::closed_at.is_null())
        .select(alarms::subject)
        .load(conn)
        .await?)
}

/// Whether the alarm of this kind and subject is open.
///
/// # Errors
/// When the database cannot be reached.
pub async fn is_open_about(conn: &mut PgConn, kind: &str, subject: &str) -> Result<bool, DbError> {
    let open = alarms::table
        .filter(alarms::kind.eq(kind))
        .filter(alarms::subject.eq(subject))
        .filter(alarms::closed_at.is_null());
    Ok(diesel::select(diesel::dsl::exists(open)).get_result(conn).await?)
}

/// How many alarms are open.
///
/// # Errors
/// When the database cannot be reached.
pub async fn count_open(db: &Db) -> Result<i64, DbError> {
    Ok(alarms::table
        .filter(alarms::closed_at.is_null())
        .count()
        .get_result(&mut db.conn().await?)
        .await?)
}

/// The open alarm of this kind and subject.
///
/// # Errors
/// When the database cannot be reached.
pub async fn find_open(conn: &mut PgConn, kind: &str, subject: &str) -> Result<Option<OpenAlarm>, DbError> {
    Ok(alarms::table
        .filter(alarms::kind.eq(kind))
        .filter(alarms::subject.eq(subject))
        .filter(alarms::closed_at.is_null())
        .select(OpenAlarm::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// Every open alarm, oldest first.
///
/// # Errors
/// When the database cannot be reached.
pub async fn list_open(db: &Db) -> Result<Vec<OpenAlarm>, DbError> {
    Ok(alarms::table
        .filter(alarms::closed_at.is_null())
        .order(alarms::raised_at.asc())
        .select(OpenAlarm::as_select())
        .load(&mut db.conn().await?)
        .await?)
}
