//! What must hold in the database at every moment: the invariants of [`wallet_core::verify`], all of them.

use wallet_core::verify::{Scope, verify};

use crate::Database;

/// Checks everything that holds at every moment, in one snapshot.
///
/// # Panics
/// If something does not hold: all of it is listed.
pub async fn assert_balanced(db: &Database) {
    let violations = violations(db).await;
    assert!(
        violations.is_empty(),
        "{} violations:\n{}",
        violations.len(),
        violations.join("\n")
    );
}

/// I12: the database transaction that moves money also writes the audit record of it. Only a fresh database can tell: `xmin` does not last.
///
/// # Panics
/// If money was moved without one.
pub async fn assert_audited(db: &Database) {
    let moved_alone = "SELECT 'I12: an entry of ' || e.transaction_id || ' was not written together with its audit record'
                         FROM ledger_entries e
                        WHERE NOT EXISTS (SELECT 1 FROM audit_log a WHERE a.xmin = e.xmin AND e.transaction_id = ANY(a.transaction_ids))
                        LIMIT 20";
    let found = db.rows(moved_alone, &[]).await;
    let found: Vec<String> = found.iter().map(|row| row.get(0)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The current violations of invariants, each with the name of its check.
///
/// # Panics
/// If PostgreSQL refuses.
pub async fn violations(db: &Database) -> Vec<String> {
    let verified = verify(db.pool().await, Scope::Complete, 20, |_, _| {})
        .await
        .unwrap();
    verified
        .violated()
        .flat_map(|finding| {
            finding
                .first
                .iter()
                .map(|found| format!("{}: {found}", finding.check.name))
        })
        .collect()
}
