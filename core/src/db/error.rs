//! What can go wrong with PostgreSQL, sorted by what a caller can do about it.

use diesel::result::{DatabaseErrorKind, Error};

/// A failed use of the database.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No connection within the time allowed: the database is away or every connection is taken.
    #[error("no database connection available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The statement failed.
    #[error("database statement failed")]
    Query(#[source] Error),
    /// A row holds what the code never writes.
    #[error("inconsistent row in {table}: {column} of {row}")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's key.
        row: String,
    },
    /// The migrations could not be read or run.
    #[error("migration failed")]
    Migration(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<Error> for DbError {
    fn from(error: Error) -> Self {
        match &error {
            Error::DatabaseError(DatabaseErrorKind::ClosedConnection, _)
            | Error::BrokenTransactionManager => Self::Unavailable(Box::new(error)),
            Error::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _) => {
                Self::Unavailable(Box::new(error))
            }
            _ => Self::Query(error),
        }
    }
}

impl DbError {
    /// Whether PostgreSQL rolled the transaction back and asks for the whole of it again: serialization failure (40001) or
    /// deadlock (40P01), <https://www.postgresql.org/docs/15/mvcc-serialization-failure-handling.html>.
    #[must_use]
    pub fn asks_for_repeat(&self) -> bool {
        match self {
            Self::Query(Error::DatabaseError(DatabaseErrorKind::SerializationFailure, _)) => true,
            Self::Query(Error::DatabaseError(_, info)) => info.message().contains("deadlock detected"),
            _ => false,
        }
    }

    /// Whether the fault is the database's state rather than the statement: worth another try later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Query(Error::DatabaseError(
                DatabaseErrorKind::UniqueViolation | DatabaseErrorKind::CheckViolation,
                _,
            )) => false,
            Self::Query(Error::DatabaseError(_, info)) => {
                let message = info.message();
                self.asks_for_repeat()
                    || [
                        "terminating connection",
                        "statement timeout",
                        "lock timeout",
                        "shutting down",
                        "starting up",
                        "connection",
                        // A standby that is not promoted yet, or a server that was told to write nothing.
                        "read-only transaction",
                        "recovery",
                        // Full disks and too little memory.
                        "No space left",
                        "could not extend",
                        "out of memory",
                    ]
                    .iter()
                    .any(|sign| message.contains(sign))
            }
            _ => false,
        }
    }

    /// The name of the violated unique constraint or index, if that is what failed.
    #[must_use]
    pub fn unique_violation(&self) -> Option<&str> {
        match self {
            Self::Query(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, info)) => {
                info.constraint_name()
            }
            _ => None,
        }
    }
}
