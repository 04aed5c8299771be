//! Revoked sessions: rows in PostgreSQL that invalidate every token with their `sid` before it expires.

use diesel::prelude::*;
use diesel::{dsl, select};
use diesel_async::RunQueryDsl;

use crate::db::schema::revoked_sessions;
use crate::db::{Db, DbError};

/// Returns whether a session was revoked.
///
/// # Errors
/// When the database cannot be reached.
pub async fn is_revoked(db: &Db, session: &str) -> Result<bool, DbError> {
    let row = revoked_sessions::table.filter(revoked_sessions::session_id.eq(session));
    Ok(select(dsl::exists(row))
        .get_result(&mut *db.conn().await?)
        .await?)
}

/// Returns which of these sessions were revoked.
///
/// # Errors
/// When the database cannot be reached.
pub async fn revoked_among(db: &Db, sessions: &[String]) -> Result<Vec<String>, DbError> {
    let revoked = revoked_sessions::table
        .filter(revoked_sessions::session_id.eq_any(sessions))
        .select(revoked_sessions::session_id);
    Ok(revoked.load(&mut *db.conn().await?).await?)
}
