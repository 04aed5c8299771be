//! The schema: its migrations, its mirror in Rust, its partitions.

use std::collections::BTreeSet;

use chrono::{Months, TimeDelta, Utc};
use uuid::Uuid;
use wallet_core::db;
use wallet_core::inbox::{EventSource, EventState};
use wallet_core::jobs::{JobKind, QueueName, WaitsFor};
use wallet_core::ledger::PlatformAccount;
use wallet_core::stripe::CallOutcome;
use wallet_core::transactions::{PaymentMethod, Stage, TransactionStatus, TransactionType};
use wallet_tests::database::dump;
use wallet_tests::{Database, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_down_and_up_again_give_the_same_schema_and_down_leaves_nothing() {
    let db = Database::empty().await;
    let url = db.url().await;
    let pending = db::pending_migrations(&url).await.unwrap();
    assert!(!pending.is_empty());
    assert!(
        pending[0].ends_with("_wallets"),
        "names, not numbers: {pending:?}"
    );
    assert_eq!(db::migrate(&url).await.unwrap(), pending);
    let first = dump(&url, &["--schema-only"]).await;
    assert!(
        db::migrate(&url).await.unwrap().is_empty(),
        "nothing is left to do"
    );

    let mut reverted = db::revert_all(&url).await.unwrap();
    reverted.reverse();
    assert_eq!(reverted, pending);
    let left = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE '\\_\\_diesel%'
                UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
                UNION ALL SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype = 'e'";
    let left: Vec<String> = db
        .rows(left, &[])
        .await
        .iter()
        .map(|row| row.get::<_, String>(0))
        .collect();
    assert_eq!(left, Vec::<String>::new(), "left behind");

    db::migrate(&url).await.unwrap();
    assert_eq!(dump(&url, &["--schema-only"]).await, first);
    db.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_waits_for_a_table_lets_those_behind_it_through() {
    let db = Database::migrated().await;
    let url = db.url().await;
    // One that changes a table and can be applied twice.
    let unapplied = "DELETE FROM __diesel_schema_migrations WHERE version = '20261128000061'";
    assert_eq!(db.execute(unapplied, &[]).await, 1);
    // As a backup that runs for long: what it has read stays as it is until it ends.
    let backup = db.connect().await;
    let read = "BEGIN; SELECT count(*) FROM call_budgets";
    backup.batch_execute(read).await.unwrap();
    let migrating = tokio::spawn(async move { db::migrate(&url).await });
    let waits = "pg_locks WHERE relation = 'call_budgets'::regclass AND NOT granted";
    let reader = db.connect().await;
    reader
        .batch_execute("SET statement_timeout = '30s'")
        .await
        .unwrap();
    for _ in 0..2 {
        eventually("the migration to wait", async || db.count(waits).await > 0).await;
        reader
            .batch_execute("SELECT count(*) FROM call_budgets")
            .await
            .unwrap();
    }
    assert!(!migrating.is_finished());
    backup.batch_execute("COMMIT").await.unwrap();
    let applied = migrating.await.unwrap().unwrap();
    assert_eq!(applied, ["2026-11-28-000061_comparison_budget"]);
    drop((backup, reader));
    db.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_in_rust_is_the_schema_in_the_database() {
    let db = Database::migrated().await;
    let columns = "SELECT table_name || '.' || column_name || ' ' ||
                          CASE WHEN data_type IN ('USER-DEFINED', 'ARRAY') THEN udt_name ELSE data_type END ||
                          CASE WHEN is_nullable = 'YES' THEN ' nullable' ELSE '' END
                     FROM information_schema.columns c
                    WHERE table_schema = 'public' AND table_name NOT LIKE '\\_\\_diesel%'
                      AND NOT EXISTS (SELECT 1 FROM pg_inherits WHERE inhrelid = (quote_ident(c.table_name))::regclass)
                      AND NOT EXISTS (SELECT 1 FROM pg_views WHERE viewname = c.table_name)";
    let there: BTreeSet<String> = db.rows(columns, &[]).await.iter().map(|row| row.get(0)).collect();
    assert_eq!(declared_columns(), there);
    db.drop().await;
}

/// The declarations of `core/src/db/schema.rs`, in the words of the query above.
fn declared_columns() -> BTreeSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/src/db/schema.rs");
    let text = std::fs::read_to_string(path).unwrap();
    let (mut table, mut renamed, mut columns) = (String::new(), None, BTreeSet::new());
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("#[sql_name = \"") {
            renamed = name.strip_suffix("\"]").map(str::to_owned);
        } else if let Some((name, kind)) = line.trim_end_matches(',').split_once(" -> ") {
            let name = renamed.take().unwrap_or_else(|| name.to_owned());
            let (kind, nullable) = match kind.strip_prefix("Nullable<") {
                Some(kind) => (kind.strip_suffix('>').unwrap(), " nullable"),
                None => (kind, ""),
            };
            let kind = match kind {
                "Uuid" => "uuid",
                "Varchar" => "character varying",
                "Text" => "text",
                "Numeric" => "numeric",
                "Bool" => "boolean",
                "Timestamptz" => "timestamp with time zone",
                "Jsonb" => "jsonb",
                "Bytea" => "bytea",
                "Float8" => "double precision",
                "Int8" => "bigint",
                "Int4" => "integer",
                "Array<Uuid>" => "_uuid",
                "Array<Text>" => "_text",
                "TransactionType" => "transaction_type",
                "TransactionStatus" => "transaction_status",
                "PaymentMethod" => "payment_method",
                other => panic!("unknown type {other}"),
            };
            columns.insert(format!("{table}.{name} {kind}{nullable}"));
        } else if let Some((name, _)) = line.strip_suffix(" {").and_then(|line| line.split_once(" (")) {
            name.clone_into(&mut table);
        }
    }
    columns
}

#[tokio::test(flavor = "multi_thread")]
async fn the_words_of_the_code_are_the_words_of_the_database() {
    let db = Database::migrated().await;
    let enums: [(&str, Vec<&str>); 3] = [
        (
            "transaction_type",
            TransactionType::ALL.iter().map(|it| it.as_str()).collect(),
        ),
        (
            "transaction_status",
            TransactionStatus::ALL.iter().map(|it| it.as_str()).collect(),
        ),
        (
            "payment_method",
            PaymentMethod::ALL.iter().map(|it| it.as_str()).collect(),
        ),
    ];
    for (name, labels) in enums {
        let sql = format!("SELECT enum_range(NULL::{name})::text[]");
        assert_eq!(db.value::<Vec<String>>(&sql, &[]).await, labels, "{name}");
    }
    let checked: [(&str, &str, Vec<&str>); 4] = [
        (
            "jobs",
            "waits_for",
            WaitsFor::ALL.iter().map(|it| it.as_str()).collect(),
        ),
        (
            "stripe_events",
            "state",
            EventState::ALL.iter().map(|it| it.as_str()).collect(),
        ),
        (
            "stripe_events",
            "source",
            EventSource::ALL.iter().map(|it| it.as_str()).collect(),
        ),
        (
            "stripe_calls",
            "outcome",
            CallOutcome::ALL.iter().map(|it| it.as_str()).collect(),
        ),
    ];
    for (table, column, words) in checked {
        let sql = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = $1::text::regclass AND conname = $2";
        let name = format!("{table}_{column}_check");
        let check: String = db.value(sql, &[&table, &name]).await;
        let known: Vec<&str> = check.split('\'').skip(1).step_by(2).collect();
        assert_eq!(known, words, "{table}.{column}");
    }
    for queue in QueueName::ALL {
        let sql = "INSERT INTO jobs (queue, kind, run_at, created_at) VALUES ($1, 'x', now(), now())";
        assert_eq!(db.execute(sql, &[&queue.as_str()]).await, 1, "{queue}");
    }
    let accounts = [
        PlatformAccount::StripeClearing,
        PlatformAccount::StripeInTransit,
        PlatformAccount::StripeFees,
        PlatformAccount::PlatformFees,
        PlatformAccount::PlatformSuspense,
        PlatformAccount::PlatformReceivable,
    ];
    for account in accounts {
        let name = wallet_core::ledger::Account::Platform(account).as_str();
        let sql = "INSERT INTO ledger_entries (transaction_id, id, account, amount, currency, created_at)
                   SELECT $1, gen_random_uuid(), $2, amount, 'usd', now() FROM (VALUES (1), (-1)) AS a (amount)";
        assert_eq!(db.execute(sql, &[&Uuid::now_v7(), &name]).await, 2, "{name}");
    }
    // What is written into columns of bounded width fits.
    assert!(Stage::ALL.iter().all(|stage| stage.as_str().len() <= 32));
    assert!(JobKind::ALL.iter().all(|kind| kind.as_str().len() <= 40));
    db.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_exist_three_months_ahead_and_are_made_as_time_goes_by() {
    let db = Database::migrated().await;
    let pool = db.pool().await;
    let now = Utc::now();
    assert_eq!(db::months_ahead(pool, now).await.unwrap(), 3);
    assert_eq!(
        db::ensure_partitions(pool, now).await.unwrap(),
        0,
        "made by the migration of the template"
    );
    let partitions = db.count("pg_inherits").await;

    let later = now.checked_add_months(Months::new(2)).unwrap();
    assert_eq!(db::months_ahead(pool, later).await.unwrap(), 1);
    // As several workers do at once.
    let made = futures::future::join_all((0..4).map(|_| db::ensure_partitions(pool, later))).await;
    assert_eq!(
        made.into_iter().map(Result::unwrap).sum::<usize>(),
        6,
        "two months of three tables"
    );
    assert!(db.count("pg_inherits").await > partitions);
    assert_eq!(db::months_ahead(pool, later).await.unwrap(), 3);

    // A month without a partition takes nothing: there is no default partition that would fill up unseen.
    let far = (now + TimeDelta::days(2_000)).timestamp_millis();
    let sql = format!(
        "INSERT INTO transaction_events (transaction_id, id, kind, message, created_at)
         VALUES ((lpad(to_hex({far}), 12, '0') || '70008000000000000001')::uuid, gen_random_uuid(), 'x', 'x', now())"
    );
    assert!(db.refusal(&sql).await.contains("no partition"));
    db.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_by_id_touches_one_partition() {
    let db = Database::migrated().await;
    for (table, column) in [
        ("wallet_transactions", "id"),
        ("ledger_entries", "transaction_id"),
        ("transaction_events", "transaction_id"),
    ] {
        let sql = format!(
            "EXPLAIN SELECT * FROM {table} WHERE {column} = '{}'",
            Uuid::now_v7()
        );
        let plan: Vec<String> = db.rows(&sql, &[]).await.iter().map(|row| row.get(0)).collect();
        let scans = plan.iter().filter(|line| line.contains("Scan")).count();
        assert!(
            scans <= 2 && !plan.iter().any(|line| line.contains("Append")),
            "{table}: {plan:?}"
        );
    }
    db.drop().await;
}
