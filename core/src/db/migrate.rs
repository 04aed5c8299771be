//! Running the migrations, which are compiled into the programs.

use std::time::{Duration, Instant};

use diesel::QueryableByName;
use diesel::migration::{MigrationSource, MigrationVersion};
use diesel::pg::Pg;
use diesel::sql_types::{Bool, Text};
use diesel_async::{AsyncMigrationHarness, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::pool::connect_once;
use super::{Db, DbError, DbOptions, Only, PgConn, sql};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations");

/// How long a migration waits for a lock. It must not be long, because all later users of the table, even readers, wait behind it.
const LOCK_WITHIN: Duration = Duration::from_secs(1);
/// How long one release waits for another release that is migrating.
const TURN_WITHIN: Duration = Duration::from_secs(60);
/// For how long a migration that may have failed to get a lock is tried again, and the pause in between, in which those behind it proceed.
const TRIED_WITHIN: Duration = Duration::from_secs(180);
const PAUSE: Duration = Duration::from_secs(2);

/// Applies the missing migrations and returns the names of those that were applied, oldest first. If a table is in use for long, by a backup for
/// example, the migration waits for it in short turns, so that other users of the table do not wait for long.
///
/// # Errors
/// When the database cannot be reached or a migration fails; those before it stay applied. When the ledger's tables are in another schema of
/// the search path than the one in which new tables would be created: then no migration is applied.
pub async fn migrate(url: &str) -> Result<Vec<String>, DbError> {
    let before = pending_migrations(url).await?;
    let first = Instant::now();
    loop {
        let began = Instant::now();
        let applied = run(url, |harness| {
            let done = harness.run_pending_migrations(MIGRATIONS);
            done.map(drop).map_err(DbError::Migration)
        });
        match applied.await {
            Ok(()) => break,
            // The library reports failures only as text, in the server's language. A failure that took as long as the lock timeout may be a lock
            // timeout; any other failure will simply occur again.
            Err(error @ DbError::Migration(_))
                if began.elapsed() >= LOCK_WITHIN && first.elapsed() < TRIED_WITHIN =>
            {
                tracing::warn!(%error, "a migration may wait for a lock: it is tried again");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
    let left = pending_migrations(url).await?;
    Ok(before.into_iter().filter(|name| !left.contains(name)).collect())
}

/// Whether the database has the schema that this program needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// It has that schema, or a newer one.
    Current,
    /// Migrations were never run.
    Empty,
    /// This many migrations are missing.
    Behind(usize),
}

/// Returns the state of a database's schema.
///
/// # Errors
/// When the database cannot be reached.
pub async fn schema_state(db: &Db) -> Result<SchemaState, DbError> {
    let mut conn = db.conn().await?;
    let table: Only<Bool, bool> =
        sql("SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL AS is_there")
            .get_result(&mut *conn)
            .await?;
    if !table.value {
        return Ok(SchemaState::Empty);
    }
    let applied: Vec<Only<Text, String>> = sql("SELECT version FROM __diesel_schema_migrations")
        .load(&mut *conn)
        .await?;
    let known = MigrationSource::<Pg>::migrations(&MIGRATIONS).map_err(DbError::Migration)?;
    let missing = known
        .iter()
        .map(|migration| migration.name().version().to_string())
        .filter(|version| applied.iter().all(|applied| applied.value != *version))
        .count();
    Ok(match missing {
        0 => SchemaState::Current,
        all if all == known.len() => SchemaState::Empty,
        some => SchemaState::Behind(some),
    })
}

#[derive(QueryableByName)]
struct Schemas {
    #[diesel(sql_type = Text)]
    ours: String,
    #[diesel(sql_type = Text)]
    theirs: String,
}

/// Reverts every migration and returns their names, newest first: for tests of the `down` scripts.
///
/// # Errors
/// When the database cannot be reached or a script fails.
pub async fn revert_all(url: &str) -> Result<Vec<String>, DbError> {
    run(url, |harness| {
        let done = harness
            .revert_all_migrations(MIGRATIONS)
            .map_err(DbError::Migration)?;
        names(&done)
    })
    .await
}

/// Returns the names of the migrations that are not applied yet.
///
/// # Errors
/// When the database cannot be reached.
pub async fn pending_migrations(url: &str) -> Result<Vec<String>, DbError> {
    run(url, |harness| {
        let pending = harness
            .pending_migrations(MIGRATIONS)
            .map_err(DbError::Migration)?;
        Ok(pending
            .iter()
            .map(|migration| diesel::migration::Migration::<Pg>::name(migration).to_string())
            .collect())
    })
    .await
}

/// Returns the names of migrations, such as `2026-11-24-000001_wallets`; diesel reports only their versions.
fn names(versions: &[MigrationVersion<'_>]) -> Result<Vec<String>, DbError> {
    let known = MigrationSource::<Pg>::migrations(&MIGRATIONS).map_err(DbError::Migration)?;
    let name = |version: &MigrationVersion<'_>| {
        let known = known
            .iter()
            .find(|migration| migration.name().version() == *version);
        known.map_or_else(|| version.to_string(), |migration| migration.name().to_string())
    };
    Ok(versions.iter().map(name).collect())
}

async fn run<T>(
    url: &str,
    work: impl FnOnce(&mut AsyncMigrationHarness<PgConn>) -> Result<T, DbError>,
) -> Result<T, DbError> {
    let options = DbOptions {
        application_name: "wallet-migrate",
        statement_timeout: Duration::ZERO,
        lock_timeout: TURN_WITHIN,
        ..DbOptions::default()
    };
    let mut conn = connect_once(url, &options).await?;
    // Two releases that start at the same time must not migrate at the same time; the lock ends with the connection.
    sql("SELECT pg_advisory_lock(7237001)").execute(&mut conn).await?;
    sql("SELECT set_config('lock_timeout', $1, false)")
        .bind::<Text, _>(LOCK_WITHIN.as_millis().to_string())
        .execute(&mut conn)
        .await?;
    // Before the library creates its own table.
    check_schema(&mut conn).await?;
    work(&mut AsyncMigrationHarness::new(conn))
}

/// Returns an error if the ledger's tables are in a schema of the search path other than its first. PostgreSQL creates tables in the first, which
/// by default is the schema named like the role, once such a schema exists
/// (<https://www.postgresql.org/docs/current/ddl-schemas.html#DDL-SCHEMAS-PATH>).
async fn check_schema(conn: &mut PgConn) -> Result<(), DbError> {
    let others: Vec<Schemas> = sql(
        "SELECT current_schema()::text AS ours, nspname::text AS theirs FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
          WHERE relname = 'wallet_transactions' AND relkind IN ('r', 'p')
            AND nspname = ANY(current_schemas(false)) AND nspname <> current_schema()
          ORDER BY array_position(current_schemas(false), nspname) LIMIT 1",
    )
    .load(conn)
    .await?;
    let Some(Schemas { ours, theirs }) = others.into_iter().next() else {
        return Ok(());
    };
    // If the first schema has wallets, its tables are the ones in use, and the other schema's belong to another system.
    let first: Only<Bool, bool> =
        sql("SELECT to_regclass(quote_ident(current_schema()) || '.wallets') IS NOT NULL AS yes")
            .get_result(conn)
            .await?;
    if first.value {
        let used: Only<Bool, bool> = sql("SELECT EXISTS (SELECT 1 FROM wallets) AS yes")
            .get_result(conn)
            .await?;
        if used.value {
            return Ok(());
        }
    }
    Err(DbError::OtherSchema { ours, theirs })
}
