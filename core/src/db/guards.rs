//! What every session is set to, so that nothing that a session does lasts for ever.
//!
//! The settings are made by a statement after the greeting, and not by the startup parameter `options`: a pooler such as `PgBouncer` refuses that
//! parameter, or drops it without a word where it is told to ignore it
//! (<https://www.pgbouncer.org/config.html#ignore_startup_parameters>).

use super::DbOptions;

/// Longest pause between two statements of a transaction, in milliseconds.
const IDLE_IN_TRANSACTION_MS: &str = "5000";
/// How often the server looks, during a statement, whether the client is still there, in milliseconds.
const CLIENT_CHECK_MS: &str = "2000";

/// The statement that sets them. Whatever the URL names in its own `options` stays as it is there.
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
        // Locks are waited for by one statement, and what was committed meanwhile is read by the next.
        ("default_transaction_isolation", "read committed".to_owned()),
    ];
    let rows = settings.map(|(name, value)| format!("('{name}', '{value}')"));
    // Whatever was answered is still there after a crash. `local` and `remote_…` are the database's own choice
    // (https://www.postgresql.org/docs/15/runtime-config-wal.html#GUC-SYNCHRONOUS-COMMIT).
    let durable = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";
    // A setting's source is `client` when it came with the startup (https://www.postgresql.org/docs/15/view-pg-settings.html).
    format!(
        "SELECT set_config(name, value, false) FROM (VALUES {}) AS ours (name, value) JOIN pg_settings USING (name) WHERE source <> 'client'; {durable}",
        rows.join(", ")
    )
}
