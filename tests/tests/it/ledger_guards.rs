//! What the database itself refuses, whoever tries.

use uuid::Uuid;
use wallet_tests::Database;

/// Rows of one INSERT: transaction, account, amount, currency.
type Rows<'a> = &'a [(Uuid, &'a str, i64, &'a str)];

fn insert(table: &str, rows: Rows<'_>) -> String {
    let values: Vec<String> = rows
        .iter()
        .map(|(transaction, account, amount, currency)| {
            format!("('{transaction}', gen_random_uuid(), '{account}', {amount}, '{currency}', now())")
        })
        .collect();
    format!(
        "INSERT INTO {table} (transaction_id, id, account, amount, currency, created_at) VALUES {}",
        values.join(", ")
    )
}

async fn this_month(db: &Database, table: &str) -> String {
    let name: String = db
        .value(
            "SELECT $1 || '_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMM')",
            &[&table],
        )
        .await;
    name
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_do_not_sum_to_zero_are_refused_on_every_way_in() {
    let db = Database::migrated().await;
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
    let clearing = "stripe:clearing";
    let unbalanced: [(&str, Rows<'_>); 4] = [
        ("a single entry", &[(one, clearing, 5, "usd")]),
        (
            "a cent short",
            &[(one, clearing, 500, "usd"), (one, "platform:fees", -499, "usd")],
        ),
        (
            "two transactions that only balance together",
            &[(one, clearing, 5, "usd"), (other, "platform:fees", -5, "usd")],
        ),
        (
            "two currencies that only balance together",
            &[(one, clearing, 5, "usd"), (one, clearing, -5, "eur")],
        ),
    ];
    let partition = this_month(&db, "ledger_entries").await;
    for (what, rows) in unbalanced {
        for table in ["ledger_entries", partition.as_str()] {
            let refused = db.refusal(&insert(table, rows)).await;
            assert!(refused.contains("not to zero"), "{what} into {table}: {refused}");
            // Also from a session that has switched ordinary triggers off, as restoring tools do.
            let quiet = format!("SET session_replication_role = replica; {}", insert(table, rows));
            assert!(
                db.refusal(&quiet).await.contains("not to zero"),
                "{what} into {table}, without triggers"
            );
            db.execute("SET session_replication_role = origin", &[]).await;
        }
    }
    assert_eq!(db.count("ledger_entries").await, 0);
    let good: Rows<'_> = &[(one, clearing, -5, "usd"), (one, "platform:fees", 5, "usd")];
    assert_eq!(db.execute(&insert("ledger_entries", good), &[]).await, 2);
    db.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_never_changed_or_removed() {
    let db = Database::migrated().await;
    let id = Uuid::now_v7();
    db.execute(
        &insert(
            "ledger_entries",
            &[
                (id, "stripe:clearing", -5, "usd"),
                (id, "platform:fees", 5, "usd"),
            ],
        ),
        &[],
    )
    .await;
    db.execute(
        "INSERT INTO transaction_events (transaction_id, id, kind, message, created_at) VALUES ($1, gen_random_uuid(), 'x', 'x', now())",
        &[&id],
    )
    .await;
    db.execute(
        "INSERT INTO audit_log (at, actor, action) VALUES (now(), 'x', 'x')",
        &[],
    )
    .await;
    let entries = this_month(&db, "ledger_entries").await;
    let events = this_month(&db, "transaction_events").await;
    let tables = [
        ("ledger_entries", "account"),
        (&entries, "account"),
        ("transaction_events", "kind"),
        (&events, "kind"),
        ("audit_log", "actor"),
    ];
    for (table, column) in tables {
        for change in [
            format!("UPDATE {table} SET {column} = 'x'"),
            format!("DELETE FROM {table}"),
            format!("TRUNCATE {table}"),
        ] {
            for session in ["origin", "replica"] {
                let refused = db
                    .refusal(&format!("SET session_replication_role = {session}; {change}"))
                    .await;
                assert!(
                    refused.contains("only ever added"),
                    "{change} as {session}: {refused}"
                );
            }
            db.execute("SET session_replication_role = origin", &[]).await;
        }
    }
    assert_eq!(db.count("ledger_entries").await, 2);
    db.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_balance_falls_below_zero_and_no_amount_is_zero() {
    let db = Database::migrated().await;
    let wallet = "INSERT INTO wallets (id, user_id, currency, balance, frozen_balance) VALUES (gen_random_uuid(), gen_random_uuid(), 'usd', ";
    assert!(db.refusal(&format!("{wallet} -0.01, 0)")).await.contains("check"));
    assert!(db.refusal(&format!("{wallet} 0, -0.01)")).await.contains("check"));
    let id = Uuid::now_v7();
    assert!(
        db.refusal(&insert("ledger_entries", &[(id, "stripe:clearing", 0, "usd")]))
            .await
            .contains("check")
    );
    assert!(
        db.refusal(&insert("ledger_entries", &[(id, "stripe:elsewhere", 1, "usd")]))
            .await
            .contains("check")
    );
    // A wallet's account without its wallet.
    assert!(
        db.refusal(&insert("ledger_entries", &[(id, "wallet:available", 1, "usd")]))
            .await
            .contains("check")
    );
    db.drop().await;
}
