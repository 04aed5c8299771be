//! Every table has one owner: other code that needs a write calls it. Also the rules for the places of SQL.

use std::collections::BTreeMap;

use crate::layers::{files, without_tests};

/// The owner of each table: a folder or a file of the core.
const OWNERS: [(&str, &[&str]); 22] = [
    ("alarms", &["alarms/"]),
    ("audit_log", &["audit/"]),
    ("call_budgets", &["budget.rs"]),
    ("external_refs", &["transactions/references.rs"]),
    ("fee_rules", &["fees/store.rs"]),
    (
        "idempotency_keys",
        &["accept/idempotency.rs", "accept/bare_digests.rs"],
    ),
    ("jobs", &["jobs/"]),
    ("ledger_entries", &["ledger/post.rs"]),
    ("payout_account_changes", &["wallets/payout_account.rs"]),
    ("platform_movements", &["reconcile/own.rs"]),
    ("stripe_accounts", &["payees/store.rs"]),
    ("stripe_calls", &["stripe/calls/store.rs"]),
    ("stripe_customers", &["wallets/store.rs"]),
    ("stripe_event_cursors", &["janitor/cursor.rs"]),
    ("stripe_events", &["inbox/store.rs"]),
    ("switches", &["money_out.rs"]),
    ("transaction_events", &["transactions/timeline.rs"]),
    ("user_keys", &["crypto/store.rs"]),
    ("verifications", &["verify/schedule.rs"]),
    ("wallet_transactions", &["transactions/"]),
    // What a wallet holds is part of a posting.
    ("wallets", &["wallets/", "ledger/post.rs"]),
    // Written by hand, or by whoever ends sessions.
    ("revoked_sessions", &[]),
];

/// What may contain SQL as text besides the owners: code that reads many tables at once, and the database's own affairs.
const READERS: [&str; 8] = [
    "db/",
    "debts/store.rs",
    "feed/",
    "ledger/suspense.rs",
    "reconcile/",
    "readiness.rs",
    "sessions.rs",
    "verify/",
];

/// The product's files without comments and tests, by their path below `core/src`, or the whole path if they are not in the core.
fn code() -> BTreeMap<String, String> {
    ["core/src", "api/src", "worker/src"]
        .into_iter()
        .flat_map(files)
        .filter(|(name, _)| {
            name.ends_with(".rs") && !name.contains("/tests/") && !name.ends_with("/tests.rs")
        })
        .map(|(name, text)| {
            let lines: Vec<String> = without_tests(&text)
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .map(|line| line.trim().to_owned())
                .collect();
            let name = name.strip_prefix("core/src/").unwrap_or(&name).to_owned();
            // One line, so that what rustfmt breaks is found as well.
            (name, lines.join(" "))
        })
        .collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `text` has `start` directly followed by the table's name.
fn names(text: &str, start: &str, table: &str) -> bool {
    text.match_indices(start).any(|(at, _)| {
        let rest = text[at + start.len()..].trim_start();
        rest.strip_prefix(table)
            .is_some_and(|after| !after.starts_with(is_word))
    })
}

fn writes(text: &str, table: &str) -> bool {
    [
        "INSERT INTO ",
        "UPDATE ",
        "DELETE FROM ",
        "insert_into(",
        "update(",
        "delete(",
    ]
    .iter()
    .any(|start| names(text, start, table))
}

fn is_of(name: &str, places: &[&str]) -> bool {
    places.iter().any(|place| name.starts_with(place))
}

#[test]
fn every_table_is_written_by_its_owner_alone() {
    let code = code();
    for (table, owners) in OWNERS {
        let writers: Vec<&String> = code
            .iter()
            .filter(|(_, text)| writes(text, table))
            .map(|(name, _)| name)
            .collect();
        for name in &writers {
            assert!(
                is_of(name, owners),
                "{name} writes {table}, which belongs to {owners:?}"
            );
        }
        for owner in owners {
            let is_used = writers.iter().any(|name| name.starts_with(owner));
            assert!(
                is_used,
                "{owner} does not write {table}: the rule has lost its object"
            );
        }
    }
}

#[test]
fn every_table_of_the_schema_has_an_owner() {
    let schema = &code()["db/schema.rs"];
    let mut tables: Vec<&str> = schema
        .split("table! {")
        .skip(1)
        .filter_map(|table| table.split(" (").next())
        .filter_map(|head| head.split_whitespace().last())
        .collect();
    let mut owned: Vec<&str> = OWNERS.iter().map(|(table, _)| *table).collect();
    tables.sort_unstable();
    owned.sort_unstable();
    assert_eq!(owned, tables);
}

#[test]
fn sql_as_text_stands_with_the_owners_and_those_who_read_many_tables() {
    let owners = OWNERS.iter().flat_map(|(_, owners)| owners.iter().copied());
    let places: Vec<&str> = owners.chain(READERS).collect();
    for (name, text) in code() {
        let has_sql = [
            "\"SELECT ",
            "\"INSERT INTO ",
            "\"UPDATE ",
            "\"DELETE FROM ",
            "\"WITH ",
            "SET LOCAL ",
        ]
        .iter()
        .any(|start| text.contains(start));
        assert!(!has_sql || is_of(&name, &places), "{name} has SQL of its own");
    }
}

#[test]
fn a_write_is_found_however_it_is_written() {
    for text in [
        "sql(\"UPDATE jobs SET x\")",
        "diesel::update( jobs::table.find(1))",
        "DELETE FROM jobs USING",
    ] {
        assert!(writes(text, "jobs"), "{text}");
    }
    for text in ["UPDATE jobs_old SET", "FROM jobs", "update(jobs_of)"] {
        assert!(!writes(text, "jobs"), "{text}");
    }
}
