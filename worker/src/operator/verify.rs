//! `verify`: checks the database against its invariants.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use wallet_core::verify::{self, Check, Finding, Scope, Verified, Window};

use super::{Session, Verdict};

/// How the database is checked.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Check only what changed recently and is cheap to check, as the workers do every minute.
    #[arg(long)]
    quick: bool,
    /// How many violations of each check are shown.
    #[arg(long, default_value_t = 10, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    first: u32,
}

/// Checks the database and answers with what was found.
pub(crate) async fn verify(session: &Session, how: Verify) -> anyhow::Result<()> {
    let scope = if how.quick {
        Scope::Quick(Window::default())
    } else {
        Scope::Complete
    };
    let verified = verify::verify(&session.db, scope, how.first, |check, finding| {
        progress(session, check, finding);
    })
    .await
    .map_err(Verdict::unknown)?;
    session.answer(&as_json(&verified), [summary(&verified)])?;
    if verified.holds() {
        return Ok(());
    }
    let names: Vec<&str> = verified.violated().map(|finding| finding.check.name).collect();
    Err(Verdict::DoesNotHold(format!("violated: {}", names.join(", "))).into())
}

/// Prints a line for each finished check, with its violations below.
fn progress(session: &Session, check: &Check, finding: Option<&Finding>) {
    let Some(finding) = finding else {
        tracing::debug!(check = check.name, "checking");
        return;
    };
    session.progress(&in_words(finding));
}

fn in_words(finding: &Finding) -> String {
    let check = finding.check;
    let mut words = format!(
        "{:<16} {:>6} violations {:>9}  {}",
        check.name,
        finding.violations,
        millis(finding.took),
        check.means
    );
    for violation in &finding.first {
        words.push_str("\n    ");
        words.push_str(violation);
    }
    words
}

fn summary(verified: &Verified) -> String {
    let violated = verified.violated().count();
    let result = if violated == 0 {
        "everything holds".to_owned()
    } else {
        format!("{violated} do not hold")
    };
    format!(
        "{} checks over {} transactions and {} wallets in {}: {result}",
        verified.findings.len(),
        verified.transactions,
        verified.wallets,
        millis(verified.took)
    )
}

fn as_json(verified: &Verified) -> serde_json::Value {
    let findings: Vec<serde_json::Value> = verified
        .findings
        .iter()
        .map(|finding| {
            json!({
                "check": finding.check.name, "means": finding.check.means, "money": finding.check.money,
                "violations": finding.violations, "first": finding.first, "milliseconds": whole_millis(finding.took),
            })
        })
        .collect();
    json!({
        "holds": verified.holds(), "transactions": verified.transactions, "wallets": verified.wallets,
        "milliseconds": whole_millis(verified.took), "checks": findings,
    })
}

fn millis(took: Duration) -> String {
    format!("{} ms", took.as_millis())
}

fn whole_millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
