//! What to do about a row that another transaction has locked.

use diesel_async::RunQueryDsl;

use super::{DbError, PgConn, sql};

/// What to do about a row that another transaction has locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Wait for it, as long as the session waits for locks.
    Wait,
    /// Leave it out, so that other rows do not wait with it.
    PassBy,
}

/// Limits the wait for any row to 250 ms from now on, in this transaction: for callers that pass by locked rows and may meet one that they
/// could not lock in advance.
///
/// # Errors
/// When the database cannot be reached.
pub(crate) async fn wait_briefly(conn: &mut PgConn) -> Result<(), DbError> {
    sql("SET LOCAL lock_timeout = '250ms'").execute(conn).await?;
    Ok(())
}
