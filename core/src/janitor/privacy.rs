//! What is kept for no longer than it serves: bodies of events, and digests that say too much.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bytea, Interval, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::accept::{DIGESTS, keyed};
use crate::crypto::{CryptoError, Vault};
use crate::db::{Db, DbError, in_transaction, sql};

/// How long the body of an event is kept: as long as Stripe itself lists the event (<https://docs.stripe.com/api/events>).
pub const BODIES_KEPT: TimeDelta = TimeDelta::days(30);

/// Most rows that one round changes, so that it locks nothing for long.
const MOST: i64 = 500;

/// Why a round failed.
#[derive(Debug, thiserror::Error)]
pub enum TidyError {
    /// The database failed.
    #[error("the database failed")]
    Db(#[from] DbError),
    /// The key of the digests cannot be had.
    #[error("the key of the digests cannot be had")]
    Crypto(#[from] CryptoError),
}

/// Drops the bodies of events that are old enough; gives how many. What an event was about, and the digest by which another body under its
/// id is noticed, stay.
///
/// # Errors
/// When the database cannot be reached.
pub async fn drop_event_bodies(db: &Db, now: DateTime<Utc>) -> Result<usize, DbError> {
    let conn = &mut db.conn().await?;
    Ok(sql("UPDATE stripe_events SET encrypted_body = NULL WHERE id IN
             (SELECT id FROM stripe_events WHERE encrypted_body IS NOT NULL AND received_at < $1 - $2
               ORDER BY received_at LIMIT $3 FOR UPDATE SKIP LOCKED)")
    .bind::<Timestamptz, _>(now)
    .bind::<Interval, _>(BODIES_KEPT)
    .bind::<BigInt, _>(MOST)
    .execute(conn)
    .await?)
}

#[derive(QueryableByName)]
struct Bare {
    #[diesel(sql_type = SqlUuid)]
    user_id: Uuid,
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Bytea)]
    fingerprint: Vec<u8>,
}

/// Keys the digests of requests that an earlier version stored bare; gives how many. They go on to match their requests.
///
/// # Errors
/// When the database or the key cannot be reached.
pub async fn key_bare_digests(db: &Db, vault: &Vault) -> Result<usize, TidyError> {
    let digester = vault.digester(DIGESTS).await?;
    let changed: Result<usize, DbError> = in_transaction!(db, conn => {
        let bare: Vec<Bare> = sql(
            "SELECT user_id, key, fingerprint FROM idempotency_keys WHERE octet_length(fingerprint) = 32
              ORDER BY created_at LIMIT $1 FOR UPDATE SKIP LOCKED",
        )
        .bind::<BigInt, _>(MOST)
        .load(conn)
        .await?;
        if bare.is_empty() {
            return Ok(0);
        }
        let keyed: Vec<Vec<u8>> = bare.iter().map(|row| keyed(&digester, &row.fingerprint)).collect();
        Ok(sql(
            "UPDATE idempotency_keys k SET fingerprint = n.fingerprint
               FROM unnest($1, $2, $3) AS n (user_id, key, fingerprint) WHERE k.user_id = n.user_id AND k.key = n.key",
        )
        .bind::<Array<SqlUuid>, _>(bare.iter().map(|row| row.user_id).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(bare.iter().map(|row| row.key.clone()).collect::<Vec<_>>())
        .bind::<Array<Bytea>, _>(keyed)
        .execute(conn)
        .await?)
    });
    Ok(changed?)
}
