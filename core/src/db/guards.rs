//! The settings of every session, which limit how long anything in it may take.
//!
//! They are made by a statement after the connection's start, and not by the startup parameter `options`: a pooler such as `PgBouncer` refuses
//! that parameter, or drops it silently if it is configured to ignore it
//! (<https://www.pgbouncer.org/config.html#ignore_startup_parameters>).

use super::DbOptions;

/// The longest pause between two statements of a transaction, in milliseconds.
const IDLE_IN_TRANSACTION_MS: &str = "5000";
/// How often the server checks, during a statement, whether the client is still connected, in milliseconds.
const CLIENT_CHECK_MS: &str = "2000";

/// Returns the statement that makes the settings. What the URL sets in its own `options` is left as it is.
pub(super) fn statement(options: &DbOptions) -> String {
    let settings = [
        (
            "statement_timeout",
            options.statement_timeout.as_millis().to_string(),
        ),
        ("lock_timeout", options.lock_timeout.as_millis().to_string()),
        (
            "idle_in_transaction_session_timeout",
            IDLE_IN_TRANSACTION_MS.to_owned(),
        ),
        ("client_connection_check_interval", CLIENT_CHECK_MS.to_owned()),
        ("plan_cache_mode", "auto".to_owned()),
        // One statement waits for the locks, and the next one reads what was committed while it waited.
        ("default_transaction_isolation", "read committed".to_owned()),
    ];
    let rows = settings.map(|(name, value)| format!("('{name}', '{value}')"));
    // What was acknowledged must survive a crash. `local` and `remote_…` are left to the database's own configuration
    // (https://www.postgresql.org/docs/15/runtime-config-wal.html#GUC-SYNCHRONOUS-COMMIT).
    let durable = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";
    // A setting's source is `client` if it came with the startup (https://www.postgresql.org/docs/15/view-pg-settings.html).
    format!(
        "SELECT set_config(name, value, false) FROM (VALUES {}) AS ours (name, value) JOIN pg_settings USING (name) WHERE source <> 'client'; {durable}",
        rows.join(", ")
    )
}
