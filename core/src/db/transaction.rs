//! Whole database transactions, repeated when PostgreSQL asks for it.

use std::time::Duration;

use diesel_async::{AnsiTransactionManager, TransactionManager};
use rand::Rng;

use super::{Conn, Db, DbError};

/// How many times a transaction that PostgreSQL rolled back is run again.
const REPEATS: u32 = 10;

/// An error that may have come from the database; it decides whether a transaction is run again.
pub trait AsDbError {
    /// Returns the database error that it wraps, if any.
    fn as_db_error(&self) -> Option<&DbError>;
}

impl AsDbError for DbError {
    fn as_db_error(&self) -> Option<&DbError> {
        Some(self)
    }
}

/// How many times the current transaction has been repeated.
#[derive(Debug, Default)]
#[doc(hidden)]
pub struct Repeats(u32);

/// The outcome of one run of a transaction's body.
#[derive(Debug)]
#[doc(hidden)]
pub enum Ended<T> {
    /// The transaction has ended with this result.
    With(T),
    /// PostgreSQL rolled it back and asks for the whole transaction again.
    Repeat,
}

impl Db {
    /// Returns a connection on which a transaction has begun.
    #[doc(hidden)]
    pub async fn begin(&self) -> Result<Conn<'_>, DbError> {
        let mut conn = self.conn().await?;
        AnsiTransactionManager::begin_transaction(&mut *conn).await?;
        Ok(conn)
    }
}

/// Commits or rolls back. Returns whether to run the body again, in that case after a short pause.
#[doc(hidden)]
pub async fn end<T, E>(mut conn: Conn<'_>, result: Result<T, E>, repeats: &mut Repeats) -> Ended<Result<T, E>>
where
    E: From<DbError> + AsDbError,
{
    let error = match result {
        Ok(done) => match AnsiTransactionManager::commit_transaction(&mut *conn).await {
            Ok(()) => return Ended::With(Ok(done)),
            Err(error) => E::from(DbError::from(error)),
        },
        Err(error) => {
            // The pool closes a connection that cannot roll back, and that rolls it back as well.
            if let Err(failed) = AnsiTransactionManager::rollback_transaction(&mut *conn).await {
                tracing::debug!(error = %failed, "rollback failed, closing the connection");
            }
            error
        }
    };
    drop(conn);
    if repeats.0 >= REPEATS || !error.as_db_error().is_some_and(DbError::asks_for_repeat) {
        return Ended::With(Err(error));
    }
    repeats.0 += 1;
    let most = 5_u64 << repeats.0.min(6);
    let pause = rand::rng().random_range(1..=most);
    tracing::debug!(
        repeats = repeats.0,
        pause,
        "transaction rolled back by PostgreSQL, running it again"
    );
    tokio::time::sleep(Duration::from_millis(pause)).await;
    Ended::Repeat
}

/// Runs a body in one transaction: `in_transaction!(db, conn => { …; Ok(value) })`.
///
/// It is committed when the body is `Ok`, rolled back otherwise, and run again from its start when PostgreSQL asks for it, so the
/// body must have no effect outside the database. `?` and `return` leave the body. The error type needs `From<DbError>` and
/// [`AsDbError`]. After a failed commit the outcome is unknown: read again, or let the client repeat its key.
///
/// A macro rather than a function with a closure: the compiler cannot prove the futures of borrowing async closures `Send`.
#[macro_export]
#[doc(hidden)]
macro_rules! __in_transaction {
    ($db:expr, $conn:ident => $body:expr) => {{
        let mut repeats = $crate::db::Repeats::default();
        loop {
            let mut begun = match $db.begin().await {
                Ok(begun) => begun,
                Err(error) => break Err(error.into()),
            };
            let result = async {
                let $conn: &mut $crate::db::PgConn = &mut begun;
                $body
            }
            .await;
            match $crate::db::end(begun, result, &mut repeats).await {
                $crate::db::Ended::With(result) => break result,
                $crate::db::Ended::Repeat => {}
            }
        }
    }};
}
