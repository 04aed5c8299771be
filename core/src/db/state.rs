//! The meaning of PostgreSQL's error codes, which are the same in every language: <https://www.postgresql.org/docs/15/errcodes-appendix.html>.

use tokio_postgres::error::SqlState;

/// Classes of codes that are about the server's state: connection exceptions, transactions rolled back, insufficient resources, errors of
/// the system below.
const CLASSES: [&str; 4] = ["08", "40", "53", "58"];

/// Single codes of other classes that are about the server's state.
const CODES: [SqlState; 9] = [
    // A server or a session that is set to read-only; a transaction that was idle for too long.
    SqlState::READ_ONLY_SQL_TRANSACTION,
    SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    // The object is in use, or the lock is held, by another session.
    SqlState::OBJECT_IN_USE,
    SqlState::LOCK_NOT_AVAILABLE,
    // The statement timed out; sessions that were terminated; a server that starts, stops or recovers.
    SqlState::QUERY_CANCELED,
    SqlState::ADMIN_SHUTDOWN,
    SqlState::CRASH_SHUTDOWN,
    SqlState::CANNOT_CONNECT_NOW,
    SqlState::DATABASE_DROPPED,
];

/// A transaction that broke a constraint at its commit was rolled back too (40002), but repeating it would fail again.
const OF_THE_STATEMENT: SqlState = SqlState::T_R_INTEGRITY_CONSTRAINT_VIOLATION;

/// Returns whether a code is about the server's state, which will change, and not about the statement.
pub(super) fn is_of_the_server(state: &SqlState) -> bool {
    let class = state.code().get(..2).unwrap_or_default();
    *state != OF_THE_STATEMENT && (CLASSES.contains(&class) || CODES.contains(state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_does_to_every_statement_is_not_the_statements_fault() {
        for code in [
            "08006", "08P01", "25006", "25P03", "40001", "40P01", "53100", "53200", "53300", "55006",
            "55P03", "57014", "57P01", "57P02", "57P03", "57P04", "58000", "58030",
        ] {
            assert!(is_of_the_server(&SqlState::from_code(code)), "{code}");
        }
    }

    #[test]
    fn what_fails_again_whenever_it_is_tried_is_the_statements() {
        for code in [
            "22003", "22P02", "23505", "23514", "25P02", "40002", "42601", "42703", "42P01", "42501",
            "P0001", "XX000",
        ] {
            assert!(!is_of_the_server(&SqlState::from_code(code)), "{code}");
        }
    }
}
