//! The errors of PostgreSQL, classified by what a caller can do about them.

use diesel::result::{DatabaseErrorKind, Error};
use tokio_postgres::error::SqlState;

use super::state;

/// A failed use of the database.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No connection in time: the database is away or every connection is taken.
    #[error("no database connection available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The statement failed.
    #[error("database statement failed")]
    Query(#[source] Error),
    /// A row holds a value that the code never writes.
    #[error("inconsistent row in {table}: {column} of {row}")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's key.
        row: String,
    },
    /// Another transaction came in between; the whole transaction must be repeated, and will then see both.
    #[error("another transaction came in between")]
    Overtaken,
    /// The tables are in another schema of the search path than the one in which new ones would be created.
    #[error(
        "the books are in the schema {theirs}, and {ours} comes before it in the search path: new tables would be made there, empty, and hide the \
         books; let the search path name one schema, as by options=-csearch_path%3D{theirs} in the database's URL, or drop {ours} if it is empty"
    )]
    OtherSchema {
        /// The schema in which new tables would be created.
        ours: String,
        /// The schema that has the tables.
        theirs: String,
    },
    /// The migrations could not be read or run.
    #[error("migration failed")]
    Migration(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<Error> for DbError {
    fn from(error: Error) -> Self {
        match &error {
            Error::DatabaseError(
                DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::ReadOnlyTransaction,
                _,
            )
            | Error::BrokenTransactionManager => Self::Unavailable(Box::new(error)),
            _ => Self::Query(error),
        }
    }
}

impl DbError {
    /// Returns the error for a `row` of `table` whose `column` holds a value that the code never writes.
    pub(crate) fn inconsistent(table: &'static str, column: &'static str, row: impl ToString) -> Self {
        Self::Inconsistent {
            table,
            column,
            row: row.to_string(),
        }
    }

    /// PostgreSQL's error code, for errors that diesel does not classify. The message is in the server's language and decides nothing.
    fn state(&self) -> Option<&SqlState> {
        let Self::Query(error) = self else { return None };
        let failed = match error {
            Error::RollbackErrorOnCommit { commit_error, .. } => commit_error,
            other => other,
        };
        let Error::QueryBuilderError(source) = failed else {
            return None;
        };
        let told = source.downcast_ref::<tokio_postgres::error::DbError>()?;
        Some(told.code())
    }

    /// Whether PostgreSQL rolled the transaction back and asks for the whole of it again: serialization failure (40001) or
    /// deadlock (40P01), <https://www.postgresql.org/docs/15/mvcc-serialization-failure-handling.html>.
    #[must_use]
    pub fn asks_for_repeat(&self) -> bool {
        match self {
            Self::Overtaken
            | Self::Query(Error::DatabaseError(DatabaseErrorKind::SerializationFailure, _)) => true,
            _ => self.state() == Some(&SqlState::T_R_DEADLOCK_DETECTED),
        }
    }

    /// Whether a row or table was locked elsewhere for longer than this session waits (55P03); other work may not be affected.
    #[must_use]
    pub fn is_lock_timeout(&self) -> bool {
        self.state() == Some(&SqlState::LOCK_NOT_AVAILABLE)
    }

    /// Whether the error is due to the database's state rather than the statement, so that a later try may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            _ => self.asks_for_repeat() || self.state().is_some_and(state::is_of_the_server),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_connection_and_a_server_that_writes_nothing_are_no_fault_of_the_statement() {
        for kind in [
            DatabaseErrorKind::ClosedConnection,
            DatabaseErrorKind::ReadOnlyTransaction,
        ] {
            let error = DbError::from(Error::DatabaseError(
                kind,
                Box::new("Verbindung geschlossen".to_owned()),
            ));
            assert!(error.is_transient() && !error.asks_for_repeat(), "{error:?}");
        }
        let again = Error::DatabaseError(
            DatabaseErrorKind::SerializationFailure,
            Box::new("Zugriff konnte nicht serialisiert werden".to_owned()),
        );
        assert!(DbError::from(again).asks_for_repeat());
    }

    #[test]
    fn words_decide_nothing() {
        for words in [
            "terminating connection due to administrator command",
            "canceling statement due to lock timeout",
            "deadlock detected",
            "the database system is shutting down",
        ] {
            let error = DbError::from(Error::DatabaseError(
                DatabaseErrorKind::Unknown,
                Box::new(words.to_owned()),
            ));
            assert!(!error.is_transient() && !error.asks_for_repeat(), "{words}");
        }
    }
}
