//! What must hold in the database at every moment: the invariants of [`wallet_core::verify`], all of them.

use wallet_core::verify::{Scope, verify};

use crate::Database;

/// Checks everything that holds at every moment, in one snapshot.
///
/// # Panics
/// When something does not hold: all of it is listed.
pub async fn assert_balanced(db: &Database) {
    let violations = violations(db).await;
    assert!(
        violations.is_empty(),
        "{} violations:\n{}",
        violations.len(),
        violations.join("\n")
    );
}

/// What violates an invariant now, each with the name of its check.
///
/// # Panics
/// When PostgreSQL refuses.
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
