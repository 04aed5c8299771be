//! An operator's session: who it is, on which database, and how the answer is told.

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
use wallet_core::standing;

/// What every command understands.
#[derive(Debug, Args)]
pub(crate) struct Manner {
    /// Who you are, for the audit trail [default: the user of this machine]
    #[arg(long, global = true, value_name = "NAME", env = "WALLET_OPERATOR")]
    operator: Option<String>,
    /// Answer with one JSON object instead of lines for a person; its fields stay.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// One run of a command.
pub(crate) struct Session {
    /// PostgreSQL.
    pub(crate) db: Db,
    /// Now.
    pub(crate) clock: SharedClock,
    /// Who, for the audit trail.
    pub(crate) actor: Actor,
    json: bool,
}

impl Session {
    /// A session on this database.
    ///
    /// # Errors
    /// When the name cannot be one, or the database's URL cannot be used.
    pub(crate) async fn open(database: &DatabaseConfig, manner: &Manner) -> anyhow::Result<Self> {
        let actor = Actor::Operator(name(manner)?);
        let options = DbOptions {
            application_name: "wallet-operator",
            // Whoever stops money in an outage wants an answer more than a quick one.
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

    /// What commands stand on that open personal details or ask Stripe.
    pub(super) fn foundation(&self, keys: &WrappingKeys) -> Foundation {
        Foundation::new(self.db.clone(), Arc::clone(&self.clock), keys.clone())
    }

    /// Whether the commands can find in the database what they look for.
    ///
    /// # Errors
    /// When it was not migrated, with the mend, or cannot be asked.
    pub(crate) async fn check_schema(&self) -> anyhow::Result<()> {
        Ok(standing::schema(&self.db).await??)
    }

    /// Now.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The whole answer: the object for a program, the lines for a person.
    pub(crate) fn answer(
        &self,
        object: &Value,
        lines: impl IntoIterator<Item = String>,
    ) -> anyhow::Result<()> {
        tell(self.json, object, lines)
    }

    /// A line about what is under way; nothing to a program.
    pub(crate) fn progress(&self, line: &str) {
        if !self.json {
            // A reader who has gone away is told of by the answer.
            let _ = say(line);
        }
    }
}

/// An answer: the object for a program, the lines for a person.
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

/// Whether the object of this run was written: a program reads one, whatever becomes of the command.
static IS_ANSWERED: AtomicBool = AtomicBool::new(false);

/// The object of a command that failed before it had an answer: `{"error": {"message", "exitCode"}}`.
pub(crate) fn tell_failure(message: &str, exit_code: u8) {
    if !IS_ANSWERED.swap(true, Ordering::Relaxed) {
        // A reader who has gone away reads the exit code.
        let _ = say(&json!({ "error": { "message": message, "exitCode": exit_code } }).to_string());
    }
}

/// A moment for a person.
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
        // A container may run as somebody whom its system does not list.
        Ok(None) | Err(_) => format!("uid {user}"),
    };
    name.parse().context("the name of this machine's user")
}
