//! The rules of the code's layers: which file may name what.

use std::fs;
use std::path::{Path, PathBuf};

use wallet_core::alarms::AlarmKind;

/// The programs' own code; tests, tools and benchmarks may use internals.
const PRODUCT: [&str; 3] = ["core/src", "api/src", "worker/src"];

/// The crate that plays Stripe for development and tests.
const SIMULATOR: &str = "wallet-stripe-simulator";

const LONGEST_FILE: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every file below a folder, as its path from the root and its text.
pub(crate) fn files(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(&path).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root()).unwrap().display().to_string();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                found.push((name, text));
            }
        }
    }
    found
}

/// The files whose code holds `word`, comments and tests left out.
fn naming(word: &str) -> Vec<String> {
    let is_code =
        |name: &str| name.ends_with(".rs") && !name.contains("/tests/") && !name.ends_with("/tests.rs");
    let mut naming = Vec::new();
    for (name, text) in PRODUCT
        .iter()
        .flat_map(|folder| files(folder))
        .filter(|(name, _)| is_code(name))
    {
        if without_tests(&text)
            .lines()
            .any(|line| !line.trim_start().starts_with("//") && line.contains(word))
        {
            naming.push(name);
        }
    }
    naming
}

/// A file's text without its unit tests, which are at its end, or in a file that it names anywhere.
pub(crate) fn without_tests(text: &str) -> String {
    let mut parts = text.split("\n#[cfg(test)]\n");
    let mut code = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let item = part.lines().next().unwrap_or_default();
        // One item alone, such as `mod tests;` or `pub mod testing;`.
        let Some(rest) = part.strip_prefix(item).filter(|_| item.ends_with(';')) else {
            return code;
        };
        code.push_str(rest);
    }
    code
}

#[test]
fn code_below_the_name_of_a_file_of_tests_is_code() {
    let named = "mod a;\n#[cfg(test)]\nmod tests;\n\nfn kept() {}\n#[cfg(test)]\nmod tests {\n    fn left_out() {}\n}\n";
    let code = without_tests(named);
    assert!(code.contains("mod a;") && code.contains("fn kept"), "{code}");
    assert!(!code.contains("left_out"), "{code}");
}

fn assert_only(word: &str, allowed: &[&str]) {
    let mut found = false;
    for name in naming(word) {
        found = true;
        assert!(
            allowed.iter().any(|prefix| name.starts_with(prefix)),
            "{name} names `{word}`, which is for {allowed:?}"
        );
    }
    assert!(found, "nobody names `{word}`: the rule has lost its object");
}

fn dependencies(package: &str) -> String {
    let text = fs::read_to_string(root().join(package).join("Cargo.toml")).unwrap();
    text.split_once("[dependencies]")
        .unwrap()
        .1
        .split("\n[")
        .next()
        .unwrap()
        .to_owned()
}

#[test]
fn programs_depend_on_the_core_and_not_on_each_other() {
    for (package, never) in [
        ("core", ["wallet-api", "wallet-worker", "wallet-dev", SIMULATOR]),
        ("api", ["wallet-worker", "wallet-dev", "wallet-tests", SIMULATOR]),
        ("worker", ["wallet-api", "wallet-dev", "wallet-tests", SIMULATOR]),
    ] {
        let dependencies = dependencies(package);
        for name in never {
            assert!(!dependencies.contains(name), "{package} depends on {name}");
        }
    }
}

#[test]
fn the_stripe_simulator_knows_nothing_of_the_wallet() {
    let dependencies = dependencies("dev/stripe-simulator");
    assert!(!dependencies.contains("wallet-"), "{dependencies}");
}

#[test]
fn each_library_is_named_in_one_place() {
    for (word, allowed) in [
        ("apalis_redis::", &["core/src/queue/"] as &[&str]),
        ("apalis_core::", &["core/src/queue/"]),
        ("rslock::", &["core/src/locks/"]),
        ("backoff::", &["core/src/retry.rs"]),
        ("stripe_core::", &["core/src/stripe/client/"]),
        ("stripe_connect::", &["core/src/stripe/client/"]),
        ("stripe_shared::", &["core/src/stripe/client/"]),
        ("stripe_client_core::", &["core/src/stripe/client/"]),
        ("aes_gcm::", &["core/src/crypto/"]),
        ("chacha20poly1305::", &["core/src/crypto/"]),
        ("jsonwebtoken::", &["api/src/auth/"]),
        ("async_graphql::", &["api/src/"]),
        (
            "apollo_compiler::",
            &["api/src/graphql/limits/", "api/src/graphql/answer/"],
        ),
        ("icu_properties::", &["core/src/characters.rs"]),
        ("diesel_migrations::", &["core/src/db/"]),
        ("metrics_exporter_prometheus::", &["core/src/metrics.rs"]),
    ] {
        assert_only(word, allowed);
    }
}

#[test]
fn only_the_database_module_and_the_stores_of_their_subjects_see_tables() {
    assert_only(
        "schema::",
        &[
            "core/src/db/",
            "core/src/accept/idempotency.rs",
            "core/src/alarms/",
            "core/src/crypto/store.rs",
            "core/src/fees/store.rs",
            "core/src/inbox/store.rs",
            "core/src/janitor/cursor.rs",
            "core/src/jobs/lock.rs",
            "core/src/jobs/parked.rs",
            "core/src/payees/store.rs",
            "core/src/sessions.rs",
            "core/src/stripe/calls/store.rs",
            "core/src/stripe/calls/attempt.rs",
            "core/src/stripe/calls/rows.rs",
            "core/src/transactions/lock.rs",
            "core/src/transactions/references.rs",
            "core/src/transactions/row.rs",
            "core/src/transactions/store.rs",
            "core/src/transactions/timeline.rs",
            "core/src/wallets/balances.rs",
            "core/src/wallets/payout_account.rs",
            "core/src/wallets/row.rs",
            "core/src/wallets/store.rs",
            // Another module of this name.
            "api/src/graphql/mod.rs",
        ],
    );
    assert!(
        naming("schema::").iter().all(|name| !name.starts_with("worker/")),
        "the worker knows no table"
    );
}

#[test]
fn only_the_core_speaks_to_the_database() {
    for word in ["diesel", "tokio_postgres"] {
        for name in naming(word) {
            assert!(name.starts_with("core/src/"), "{name} names {word}");
        }
        for package in ["api", "worker"] {
            let dependencies = dependencies(package);
            assert!(
                !dependencies.contains(&word.replace('_', "-")),
                "{package} depends on {word}"
            );
        }
    }
}

#[test]
fn only_settlement_writes_money() {
    assert_only("UPDATE wallets SET balance", &["core/src/ledger/post.rs"]);
    assert_only("INSERT INTO ledger_entries", &["core/src/ledger/post.rs"]);
    assert_only(
        "UPDATE wallet_transactions AS",
        &["core/src/transactions/advance.rs"],
    );
    assert_only("transactions::advance(", &["core/src/settle/write.rs"]);
    // When a transaction was last asked about is no part of its state.
    assert_only(
        "UPDATE wallet_transactions",
        &[
            "core/src/transactions/advance.rs",
            "core/src/transactions/store.rs",
        ],
    );
    for word in [
        "wallets::balance.eq",
        "wallets::frozen_balance.eq",
        "ledger_entries::table",
        "wallet_transactions::status.eq(",
        "frozen_balance +",
    ] {
        assert_eq!(naming(word), Vec::<String>::new(), "{word}");
    }
    for folder in [
        "core/src/money",
        "core/src/ledger",
        "core/src/flows",
        "core/src/settle",
    ] {
        for (name, text) in files(folder) {
            assert!(
                !text.contains("f64") && !text.contains("f32"),
                "{name} has floats"
            );
        }
    }
}

#[test]
fn the_environment_and_the_wall_clock_are_read_in_one_place() {
    assert_only("std::env::var", &["core/src/config/env.rs"]);
    assert_only("Utc::now()", &["core/src/clock.rs"]);
}

#[test]
fn no_file_is_too_long_to_read_and_none_points_outside_the_repository() {
    let outside = ["..", "shared"].join("/");
    for folder in [
        "core",
        "api",
        "worker",
        "dev",
        "tests",
        "bench",
        "chaos",
        "fuzz",
        ".ci",
        "migrations",
        "bin",
        "docs",
    ] {
        for (name, text) in files(folder) {
            let lines = text.lines().count();
            let code = [".rs", ".sh", ".js", ".sql", ".lua"]
                .iter()
                .any(|ending| name.ends_with(ending));
            assert!(!code || lines <= LONGEST_FILE, "{name} has {lines} lines");
            assert!(!text.contains(&outside), "{name} names {outside}");
        }
    }
}

/// Files in which other things have names that are the same words: outcomes of steps, what an object at Stripe is to us, what is waited for.
const SAME_WORDS: [&str; 3] = [
    "core/src/transactions/store.rs",
    "worker/src/execution/transfers.rs",
    "worker/src/metrics.rs",
];

#[test]
fn every_kind_of_alarm_stands_in_one_enum_and_on_the_operators_page() {
    // Outside of SQL, which has no other way, nobody writes a kind but by its variant.
    for kind in AlarmKind::ALL {
        let written = format!("\"{kind}\"");
        let elsewhere: Vec<String> = naming(&written)
            .into_iter()
            .filter(|name| !SAME_WORDS.contains(&name.as_str()))
            .collect();
        assert_eq!(elsewhere, Vec::<String>::new(), "{kind} is written out");
    }
    let page = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let table = page.split_once("| alarm | what it says |").unwrap().1;
    let listed: Vec<&str> = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .filter_map(|line| line.split('|').nth(1))
        .flat_map(|kinds| kinds.split(','))
        .map(|kind| kind.trim().trim_matches('`'))
        .collect();
    let mut known: Vec<&str> = AlarmKind::ALL.iter().map(|kind| kind.as_str()).collect();
    let mut told = listed.clone();
    known.sort_unstable();
    told.sort_unstable();
    assert_eq!(
        told, known,
        "the page and the enum tell of the same kinds, each once"
    );
}
