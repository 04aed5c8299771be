//! What to do about a row that somebody else has locked.

use diesel_async::RunQueryDsl;

use super::{DbError, PgConn, sql};

/// What to do about a row that somebody else has locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It is waited for, as long as the session waits for locks.
    Wait,
    /// It is left out, so that its neighbours do not wait with it.
    PassBy,
}

/// Waits from now on, in this transaction, no longer than 250 ms for any row: for whoever passes by what is held, and meets one that could not be
/// named beforehand.
///
/// # Errors
/// When the database cannot be reached.
pub(crate) async fn wait_briefly(conn: &mut PgConn) -> Result<(), DbError> {
    sql("SET LOCAL lock_timeout = '250ms'").execute(conn).await?;
    Ok(())
}
