//! Stores wrapped data keys in PostgreSQL, in the table `user_keys`.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{Fingerprint, KeyStore, KeyStoreError, Rewrapping, StoredKey, WrappedKey};
use crate::db::schema::user_keys;
use crate::db::{Db, DbError, Only, sql};

/// The key store of a running system.
#[derive(Debug, Clone)]
pub struct PgKeyStore {
    db: Db,
}

impl PgKeyStore {
    /// Returns the store of this database, which must be the primary, never a replica.
    #[must_use]
    pub const fn new(db: Db) -> Self {
        Self { db }
    }
}

type Row = (Uuid, Uuid, String, Option<String>, DateTime<Utc>);

const COLUMNS: (
    user_keys::user_id,
    user_keys::key_id,
    user_keys::wrapping_key,
    user_keys::wrapped_key,
    user_keys::created_at,
) = (
    user_keys::user_id,
    user_keys::key_id,
    user_keys::wrapping_key,
    user_keys::wrapped_key,
    user_keys::created_at,
);

fn stored((owner, key_id, wrapping_key, wrapped, created_at): Row) -> StoredKey {
    StoredKey {
        owner,
        key_id,
        wrapping_key: Fingerprint::from_column(wrapping_key),
        wrapped: wrapped.map(WrappedKey::from_column),
        created_at,
    }
}

impl From<DbError> for KeyStoreError {
    fn from(error: DbError) -> Self {
        Self(Box::new(error))
    }
}

impl From<diesel::result::Error> for KeyStoreError {
    fn from(error: diesel::result::Error) -> Self {
        DbError::from(error).into()
    }
}

#[async_trait]
impl KeyStore for PgKeyStore {
    async fn load(&self, owner: Uuid) -> Result<Option<StoredKey>, KeyStoreError> {
        let mut conn = self.db.conn().await?;
        let row = user_keys::table
            .find(owner)
            .select(COLUMNS)
            .first::<Row>(&mut *conn)
            .await
            .optional()?;
        Ok(row.map(stored))
    }

    async fn insert_if_absent(&self, key: StoredKey) -> Result<StoredKey, KeyStoreError> {
        let mut conn = self.db.conn().await?;
        diesel::insert_into(user_keys::table)
            .values((
                user_keys::user_id.eq(key.owner),
                user_keys::key_id.eq(key.key_id),
                user_keys::wrapping_key.eq(key.wrapping_key.as_str()),
                user_keys::wrapped_key.eq(key.wrapped.as_ref().map(WrappedKey::as_str)),
                user_keys::created_at.eq(key.created_at),
            ))
            .on_conflict(user_keys::user_id)
            .do_nothing()
            .execute(&mut *conn)
            .await?;
        // The row may be another process's that came first. Rows are never deleted.
        let row = user_keys::table
            .find(key.owner)
            .select(COLUMNS)
            .first::<Row>(&mut *conn)
            .await?;
        Ok(stored(row))
    }

    async fn wrapping_keys(&self) -> Result<Vec<Fingerprint>, KeyStoreError> {
        // Jumps from one key of the index to the next: there are few keys, but there may be millions of rows.
        const USED: &str = "\
            WITH RECURSIVE used AS (
                (SELECT wrapping_key::text FROM user_keys WHERE destroyed_at IS NULL ORDER BY wrapping_key LIMIT 1)
                 UNION ALL
                SELECT next.wrapping_key FROM used CROSS JOIN LATERAL (
                       SELECT wrapping_key::text FROM user_keys
                        WHERE user_keys.wrapping_key > used.wrapping_key AND destroyed_at IS NULL
                        ORDER BY user_keys.wrapping_key LIMIT 1) AS next)
            SELECT wrapping_key FROM used";
        let mut conn = self.db.conn().await?;
        let rows: Vec<Only<Text, String>> = sql(USED).load(&mut *conn).await?;
        Ok(rows
            .into_iter()
            .map(|row| Fingerprint::from_column(row.value))
            .collect())
    }

    async fn wrapped_otherwise(
        &self,
        current: &Fingerprint,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<StoredKey>, KeyStoreError> {
        let mut conn = self.db.conn().await?;
        let mut query = user_keys::table
            .select(COLUMNS)
            .filter(user_keys::wrapping_key.ne(current.as_str()))
            .filter(user_keys::destroyed_at.is_null())
            .order(user_keys::user_id)
            .limit(limit)
            .into_boxed();
        if let Some(after) = after {
            query = query.filter(user_keys::user_id.gt(after));
        }
        let rows = query.load::<Row>(&mut *conn).await?;
        Ok(rows.into_iter().map(stored).collect())
    }

    async fn replace_wrappings(
        &self,
        current: &Fingerprint,
        keys: &[Rewrapping],
        now: DateTime<Utc>,
    ) -> Result<usize, KeyStoreError> {
        const REPLACE: &str = "\
            UPDATE user_keys SET wrapped_key = next.wrapped, wrapping_key = $1, rewrapped_at = $2 \
              FROM unnest($3, $4, $5) AS next (user_id, replaces, wrapped) \
             WHERE user_keys.user_id = next.user_id AND user_keys.wrapped_key = next.replaces";
        let owners: Vec<Uuid> = keys.iter().map(|key| key.owner).collect();
        let replaces: Vec<&str> = keys.iter().map(|key| key.replaces.as_str()).collect();
        let wrapped: Vec<&str> = keys.iter().map(|key| key.wrapped.as_str()).collect();
        let mut conn = self.db.conn().await?;
        let changed = sql(REPLACE)
            .bind::<Text, _>(current.as_str())
            .bind::<Timestamptz, _>(now)
            .bind::<Array<SqlUuid>, _>(owners)
            .bind::<Array<Text>, _>(replaces)
            .bind::<Array<Text>, _>(wrapped)
            .execute(&mut *conn)
            .await?;
        Ok(changed)
    }

    async fn destroy(&self, owner: Uuid, now: DateTime<Utc>) -> Result<bool, KeyStoreError> {
        let mut conn = self.db.conn().await?;
        let alive = user_keys::table
            .find(owner)
            .filter(user_keys::destroyed_at.is_null());
        let gone = (
            user_keys::wrapped_key.eq(None::<String>),
            user_keys::destroyed_at.eq(now),
        );
        let changed = diesel::update(alive).set(gone).execute(&mut *conn).await?;
        Ok(changed > 0)
    }
}
