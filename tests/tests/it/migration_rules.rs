//! The rule for new migrations: nobody waits for one, however large the tables are by then.
//!
//! What scans or rewrites a table while it is locked makes everybody wait for as long as that takes
//! (<https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES>,
//! <https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY>).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The last migration of the time before there was a database to migrate; migrations up to this one need no care.
const LAST_BEFORE: &str = "2026-11-28-600000";

/// Tables that have a few rows whatever happens.
const SMALL: [&str; 4] = ["switches", "fee_rules", "verifications", "call_budgets"];

/// What in a migration keeps people waiting on tables that already have rows, with the fix.
fn obstacles(script: &str) -> Vec<String> {
    let script: String = script
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join(" ");
    // Bodies of functions do nothing yet.
    let script: String = script.split("$$").step_by(2).collect();
    let statements: Vec<String> = script
        .split(';')
        .map(|statement| {
            statement
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .to_lowercase()
        })
        .filter(|statement| !statement.is_empty())
        .collect();
    let new: BTreeSet<&str> = statements
        .iter()
        .filter_map(|statement| statement.strip_prefix("create table "))
        .map(|rest| name(rest.strip_prefix("if not exists ").unwrap_or(rest)))
        .collect();
    let leaves_for_later = statements
        .iter()
        .any(|statement| statement.contains(" not valid"));
    let mut found = Vec::new();
    for statement in &statements {
        let Some(table) = touched(statement) else { continue };
        if new.contains(table) || SMALL.contains(&table) {
            continue;
        }
        let fix = if statement.starts_with("create ") {
            (!statement.contains(" concurrently ") && !statement.contains(" on only "))
                .then_some("build the index CONCURRENTLY, outside a transaction (run_in_transaction = false)")
        } else if statement.starts_with("update ") || statement.starts_with("delete ") {
            Some("change rows in batches, by a job")
        } else if statement.contains("validate constraint") {
            leaves_for_later.then_some("validate it in a migration of its own")
        } else {
            altered(statement)
        };
        if let Some(fix) = fix {
            found.push(format!("{statement}: {fix}"));
        }
    }
    found
}

fn altered(statement: &str) -> Option<&'static str> {
    let has = |words: &str| statement.contains(words);
    if (has(" check ") || has(" check(") || has(" references ")) && !has(" not valid") {
        return Some("add it NOT VALID, and validate it in a later migration");
    }
    if (has(" primary key") || has(" unique")) && !has(" using index ") {
        return Some("build its index CONCURRENTLY first, and add it USING INDEX");
    }
    if has(" type ") && has(" alter column ") {
        return Some("add a column of the new type and fill it by a job");
    }
    if has(" set not null") {
        return Some("add CHECK (… IS NOT NULL) NOT VALID, validate it, then SET NOT NULL finds it proven");
    }
    let volatile = ["gen_random_uuid(", "random(", "clock_timestamp(", "nextval("];
    if has(" default ") && volatile.iter().any(|call| has(call)) {
        return Some("add the column without the default, and fill it by a job");
    }
    None
}

/// The table that a statement locks, or `None` if it locks none.
fn touched(statement: &str) -> Option<&str> {
    if let Some(rest) = statement.strip_prefix("alter table ") {
        let rest = rest.strip_prefix("if exists ").unwrap_or(rest);
        return Some(name(rest.strip_prefix("only ").unwrap_or(rest)));
    }
    if statement.starts_with("create index ") || statement.starts_with("create unique index ") {
        let (_, rest) = statement.split_once(" on ")?;
        return Some(name(rest.strip_prefix("only ").unwrap_or(rest)));
    }
    let rest = statement
        .strip_prefix("update ")
        .or_else(|| statement.strip_prefix("delete from "))?;
    Some(name(rest))
}

/// The name with which a text begins.
fn name(text: &str) -> &str {
    text.split([' ', '(']).next().unwrap_or_default()
}

#[test]
fn no_new_migration_keeps_people_waiting_for_a_table() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
    let mut looked_at = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let version = path.file_name().unwrap().to_string_lossy().into_owned();
        let Ok(script) = fs::read_to_string(path.join("up.sql")) else {
            continue;
        };
        looked_at += 1;
        if version.split('_').next() > Some(LAST_BEFORE) {
            assert_eq!(obstacles(&script), Vec::<String>::new(), "{version}");
        }
    }
    assert!(looked_at > 10, "{looked_at}");
}

#[test]
fn what_locks_a_table_while_it_reads_all_of_it_is_noticed() {
    for (script, fix) in [
        (
            "ALTER TABLE jobs ADD CONSTRAINT c CHECK (starts >= 0);",
            "NOT VALID",
        ),
        (
            "ALTER TABLE wallets ADD COLUMN kind text CHECK (kind IN ('a'))",
            "NOT VALID",
        ),
        (
            "ALTER TABLE ONLY wallets ADD FOREIGN KEY (id) REFERENCES users (id);",
            "NOT VALID",
        ),
        (
            "alter table jobs add constraint c check (true) not valid; alter table jobs validate constraint c;",
            "of its own",
        ),
        ("CREATE INDEX i ON jobs (kind);", "CONCURRENTLY"),
        (
            "-- a comment; with a semicolon\nCREATE UNIQUE INDEX i\n  ON ledger_entries (id)",
            "CONCURRENTLY",
        ),
        ("ALTER TABLE wallets ADD UNIQUE (user_id);", "USING INDEX"),
        (
            "ALTER TABLE wallets ALTER COLUMN label SET NOT NULL;",
            "IS NOT NULL",
        ),
        (
            "ALTER TABLE wallets ALTER COLUMN label TYPE varchar(10);",
            "new type",
        ),
        (
            "ALTER TABLE jobs ADD COLUMN token uuid DEFAULT gen_random_uuid();",
            "by a job",
        ),
        ("UPDATE wallets SET label = '';", "batches"),
        ("DELETE FROM jobs WHERE kind = 'x';", "batches"),
    ] {
        let found = obstacles(script);
        assert!(found.len() == 1 && found[0].contains(fix), "{script}: {found:?}");
    }
    for script in [
        "CREATE TABLE t (id bigint PRIMARY KEY CHECK (id > 0)); CREATE INDEX i ON t (id); ALTER TABLE t ADD CHECK (id < 9);",
        "CREATE INDEX CONCURRENTLY i ON jobs (kind);",
        "CREATE INDEX i ON ONLY ledger_entries (id);",
        "ALTER TABLE jobs ADD CONSTRAINT c CHECK (starts >= 0) NOT VALID;",
        "ALTER TABLE jobs VALIDATE CONSTRAINT c;",
        "ALTER TABLE jobs ADD COLUMN waits_for text, ADD COLUMN tries integer NOT NULL DEFAULT 0;",
        "ALTER TABLE jobs DROP COLUMN waits_for; DROP INDEX i; COMMENT ON TABLE jobs IS 'x';",
        "UPDATE switches SET is_open = true;",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE jobs SET starts = 0; RETURN NEW; END $$;",
    ] {
        assert_eq!(obstacles(script), Vec::<String>::new(), "{script}");
    }
}
