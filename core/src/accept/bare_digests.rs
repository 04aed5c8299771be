//! Request digests that an earlier version stored without a key: such a bare digest lets its reader guess the request.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bytea, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::AcceptError;
use super::idempotency::{DIGESTS, keyed};
use crate::crypto::Vault;
use crate::db::{Db, DbError, in_transaction, sql};

/// The maximum number of rows that one call changes, so that it does not hold locks for long.
const MOST: i64 = 500;

#[derive(QueryableByName)]
struct Bare {
    #[diesel(sql_type = SqlUuid)]
    user_id: Uuid,
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Bytea)]
    fingerprint: Vec<u8>,
}

/// Keys a batch of the request digests that an earlier version stored bare, and returns how many. They still match their requests.
///
/// # Errors
/// If the database or the digests' key cannot be reached.
pub async fn key_bare_digests(db: &Db, vault: &Vault) -> Result<usize, AcceptError> {
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
