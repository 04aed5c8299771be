//! Verification: the ledger against itself, with the invariants as SQL.
//!
//! All checks of a run read one snapshot, in one read-only transaction. The complete set reads every row; the quick one reads what changed
//! lately and what is cheap at any size, so that a worker can run it every minute ([`Window`]). Tests, workers and `wallet-worker verify`
//! make the same checks.

mod checks;
mod schedule;
mod window;

use std::time::{Duration, Instant};

use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

pub use checks::{Check, all};
pub use schedule::{Scheduled, begin, end, keep};
pub use window::{Seen, Window};

use crate::db::{Db, DbError, PgConn, in_transaction, sql};
use window::Changed;

/// The scope of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every row.
    Complete,
    /// What changed since the beginning of the window, and what is cheap.
    Quick(Window),
}

/// The result of one check.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The check.
    pub check: &'static Check,
    /// How many violations there are.
    pub violations: i64,
    /// The first of them, described by ids and amounts.
    pub first: Vec<String>,
    /// How long the check took.
    pub took: Duration,
}

/// The result of a run.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The result of each check that was made.
    pub findings: Vec<Finding>,
    /// The number of transactions that were checked; for the complete set, of all.
    pub transactions: i64,
    /// The number of wallets that were checked; for the complete set, of all.
    pub wallets: i64,
    /// Up to where this run has seen changes: the quick run after the next one begins there ([`Window`]).
    pub seen: Seen,
    /// How long the whole run took.
    pub took: Duration,
}

impl Verified {
    /// Returns the results of the checks that do not hold.
    pub fn violated(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.violations > 0)
    }

    /// Returns whether everything holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.violated().next().is_none()
    }

    /// Returns whether something is violated that puts money at risk.
    #[must_use]
    pub fn risks_money(&self) -> bool {
        self.violated().any(|finding| finding.check.money)
    }
}

#[derive(QueryableByName)]
struct Violation {
    #[diesel(sql_type = BigInt)]
    total: i64,
    #[diesel(sql_type = Text)]
    violation: String,
}

/// Makes the checks and keeps the first `most` violations of each; `progress` is called for each check before and after it is made.
///
/// # Errors
/// When the database cannot be reached or a check takes too long: then there is no result.
pub async fn verify(
    db: &Db,
    scope: Scope,
    most: u32,
    mut progress: impl FnMut(&'static Check, Option<&Finding>) + Send,
) -> Result<Verified, DbError> {
    let began = Instant::now();
    let reports = db.for_reports();
    let (findings, changed) = in_transaction!(reports, conn => {
        begin_snapshot(conn, match scope { Scope::Complete => WHOLE, Scope::Quick(_) => IN_BOUNDED_TIME }).await?;
        check(conn, scope, most, &mut progress).await
    })?;
    Ok(Verified {
        findings,
        transactions: changed.transactions_count,
        wallets: changed.wallets_count,
        seen: changed.seen,
        took: began.elapsed(),
    })
}

/// Makes one check over every row, as the complete set does, within the time limit of a quick one.
///
/// # Errors
/// When the database cannot be reached or the check takes too long: then there is no result.
pub async fn verify_one(db: &Db, check: &'static Check, most: u32) -> Result<Finding, DbError> {
    let reports = db.for_reports();
    in_transaction!(reports, conn => {
        begin_snapshot(conn, &[IN_BOUNDED_TIME, WHOLE].concat()).await?;
        make(conn, check, &check.complete_sql(), most, &Changed::default()).await
    })
}

/// The settings for what may take the time and the memory that it needs.
const WHOLE: &[&str] = &[
    "SET LOCAL work_mem = '128MB'",
    "SET LOCAL enable_partitionwise_aggregate = on",
    "SET LOCAL enable_partitionwise_join = on",
    "SET LOCAL jit = off",
];
/// The settings for what must not delay the next run.
const IN_BOUNDED_TIME: &[&str] = &["SET LOCAL statement_timeout = '30s'", "SET LOCAL jit = off"];

/// Begins the snapshot that all later statements read.
async fn begin_snapshot(conn: &mut PgConn, settings: &[&'static str]) -> Result<(), DbError> {
    sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .execute(conn)
        .await?;
    for setting in settings {
        sql(setting).execute(conn).await?;
    }
    Ok(())
}

async fn check(
    conn: &mut PgConn,
    scope: Scope,
    most: u32,
    progress: &mut (impl FnMut(&'static Check, Option<&Finding>) + Send),
) -> Result<(Vec<Finding>, Changed), DbError> {
    let changed = match scope {
        Scope::Complete => Changed::everything(conn).await?,
        Scope::Quick(window) => Changed::since(conn, window).await?,
    };
    let mut findings = Vec::new();
    for check in all() {
        let statement = match scope {
            Scope::Complete => check.complete_sql(),
            Scope::Quick(_) => match check.quick_sql() {
                Some(statement) => statement,
                None => continue,
            },
        };
        progress(check, None);
        let finding = make(conn, check, &statement, most, &changed).await?;
        progress(check, Some(&finding));
        findings.push(finding);
    }
    Ok((findings, changed))
}

async fn make(
    conn: &mut PgConn,
    check: &'static Check,
    statement: &str,
    most: u32,
    changed: &Changed,
) -> Result<Finding, DbError> {
    let began = Instant::now();
    let rows = list(conn, statement, most, changed).await?;
    Ok(Finding {
        check,
        violations: rows.as_slice().first().map_or(0, |row| row.total),
        first: rows.into_iter().map(|row| row.violation).collect(),
        took: began.elapsed(),
    })
}

async fn list(
    conn: &mut PgConn,
    statement: &str,
    most: u32,
    changed: &Changed,
) -> Result<Vec<Violation>, DbError> {
    // The texts are assembled from constants, so they cannot go through the cache of constant statements; each runs once.
    let text = format!(
        "SELECT count(*) OVER () AS total, coalesce(violation, 'a row without words') AS violation
                          FROM ({statement}) AS found (violation) LIMIT {most}"
    );
    let least = changed.transactions.iter().min().copied().unwrap_or(Uuid::nil());
    let greatest = changed.transactions.iter().max().copied().unwrap_or(Uuid::nil());
    Ok(diesel::sql_query(text)
        .bind::<Array<SqlUuid>, _>(&changed.transactions)
        .bind::<Array<SqlUuid>, _>(&changed.wallets)
        .bind::<SqlUuid, _>(least)
        .bind::<SqlUuid, _>(greatest)
        .bind::<BigInt, _>(changed.after_record)
        .load(conn)
        .await?)
}
