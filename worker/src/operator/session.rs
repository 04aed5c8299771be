//! An operator's session: who runs a command, on which database, and how the answer is printed.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use clap::Args;
use nix::unistd::{User, getuid};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use wallet_core::audit::{Actor, OperatorName};
use wallet_core::clock::{SharedClock, SystemClock};
use wallet_core::config::DatabaseConfig;
use wallet_core::crypto::WrappingKeys;
use wallet_core::db::{Db, DbOptions};
use wallet_core::foundation::Foundation;
use wallet_core::readiness;

/// The arguments of every command.
#[derive(Debug, Args)]
pub(crate) struct Manner {
    /// Your name, for the audit trail [default: the user of this machine]
    #[arg(long, global = true, value_name = "NAME", env = "WALLET_OPERATOR")]
    operator: Option<String>,
    /// Answer with one JSON object instead of lines for a person; its fields are stable.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// One run of a command.
pub(crate) struct Session {
    /// The connections to PostgreSQL.
    pub(crate) db: Db,
    /// The clock.
    pub(crate) clock: SharedClock,
    /// The operator, for the audit trail.
    pub(crate) actor: Actor,
    json: bool,
}

impl Session {
    /// Opens a session on this database.
    ///
    /// # Errors
    /// If the operator's name is invalid, or the database's URL cannot be used.
    pub(crate) async fn open(database: &DatabaseConfig, manner: &Manner) -> anyhow::Result<Self> {
        let actor = Actor::Operator(name(manner)?);
        let options = DbOptions {
            application_name: "wallet-operator",
            // An operator who stops money-out in an outage needs an answer more than a quick one.
            get_timeout: Duration::from_secs(15),
            ..DbOptions::default()
        };
        Ok(Self {
            db: Db::connect(database.url.expose_secret(), &options).await?,
            clock: clock(),
            actor,
            json: manner.json,
        })
    }

    /// Returns the basis for commands that open personal details or call Stripe.
    pub(super) fn foundation(&self, keys: &WrappingKeys) -> Foundation {
        Foundation::new(self.db.clone(), Arc::clone(&self.clock), keys.clone())
    }

    /// Checks that the database has the schema that the commands need.
    ///
    /// # Errors
    /// If the database was not migrated, with the fix, or cannot be reached.
    pub(crate) async fn check_schema(&self) -> anyhow::Result<()> {
        Ok(readiness::schema(&self.db).await??)
    }

    /// Returns the current time.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Prints the whole answer: the object for a program, the lines for a person.
    pub(crate) fn answer(
        &self,
        object: &Value,
        lines: impl IntoIterator<Item = String>,
    ) -> anyhow::Result<()> {
        tell(self.json, object, lines)
    }

    /// Prints a line about progress; prints nothing for a program.
    pub(crate) fn progress(&self, line: &str) {
        if !self.json {
            // If the reader has gone, printing the answer reports the error.
            let _ = say(line);
        }
    }
}

/// Prints an answer: the object for a program, the lines for a person.
pub(super) fn tell(
    is_json: bool,
    object: &Value,
    lines: impl IntoIterator<Item = String>,
) -> anyhow::Result<()> {
    if is_json {
        IS_ANSWERED.store(true, Ordering::Relaxed);
        return say(&object.to_string());
    }
    lines.into_iter().try_for_each(|line| say(&line))
}

/// Whether this run has written its object: a program reads exactly one, whether the command succeeds or fails.
static IS_ANSWERED: AtomicBool = AtomicBool::new(false);

/// Prints the object of a command that failed before it had an answer: `{"error": {"message", "exitCode"}}`.
pub(crate) fn print_failure(message: &str, exit_code: u8) {
    if !IS_ANSWERED.swap(true, Ordering::Relaxed) {
        // If the reader has gone, the exit code remains.
        let _ = say(&json!({ "error": { "message": message, "exitCode": exit_code } }).to_string());
    }
}

/// Formats a moment for a person.
pub(crate) fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

pub(super) fn clock() -> SharedClock {
    Arc::new(SystemClock)
}

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}").context("standard output")
}

fn name(manner: &Manner) -> anyhow::Result<OperatorName> {
    if let Some(name) = &manner.operator {
        return name.parse().context("--operator");
    }
    let user = getuid();
    let name = match User::from_uid(user) {
        Ok(Some(known)) => known.name,
        // A container may run as a user that its system does not list.
        Ok(None) | Err(_) => format!("uid {user}"),
    };
    name.parse().context("the name of this machine's user")
}
