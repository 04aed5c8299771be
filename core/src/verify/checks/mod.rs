//! The checks: each is one statement that lists, as text, what violates it.
//!
//! The statements are templates. `{transactions}`, `{entries}`, `{wallets}` and `{wallet_entries}` stand for the whole tables in the
//! complete set and for what changed lately in the quick one; `{edges}`, `{stages}` and `{currencies}` for tables that are generated from the
//! code. `{written: SUM: CURRENCY}` stands for a sum formatted for its currency, with the currency.
//! The numbers in the names of the checks are those of the list of invariants in `docs/operations.md`.

mod history;
mod links;
mod money;
mod waiting;

use std::fmt::Write as _;

use crate::flows::edges;
use crate::money::Currency;
use crate::transactions::{Flow, Stage};

/// One invariant.
#[derive(Debug)]
pub struct Check {
    /// Its number and a short name: the subject of its alarm.
    pub name: &'static str,
    /// The rule that must hold, in words.
    pub means: &'static str,
    /// Whether a violation puts money at risk: then money no longer goes out.
    pub money: bool,
    pub(super) complete: &'static str,
    pub(super) quick: Quick,
}

/// How a check is made in the quick set.
#[derive(Debug, Clone, Copy)]
pub(super) enum Quick {
    /// By the same statement over what changed lately.
    Same,
    /// By a statement of its own.
    Other(&'static str),
    /// Not at all: only all rows together can show a violation.
    Never,
}

/// Returns every check, in the order in which they run.
pub fn all() -> impl Iterator<Item = &'static Check> {
    [money::CHECKS, history::CHECKS, links::CHECKS, waiting::CHECKS]
        .into_iter()
        .flatten()
}

impl Check {
    /// Returns the statement over every row.
    pub(super) fn complete_sql(&self) -> String {
        let whole = self
            .complete
            .replace("{transactions}", "wallet_transactions")
            .replace("{entries}", "ledger_entries")
            .replace("{wallets}", "wallets")
            .replace("{wallet_entries}", "ledger_entries");
        with_constants(&whole)
    }

    /// Returns the statement over what changed lately: `$1` transactions, between `$3` and `$4`; `$2` wallets; `$5` the audit record before.
    pub(super) fn quick_sql(&self) -> Option<String> {
        let text = match self.quick {
            Quick::Same => self.complete,
            Quick::Other(text) => text,
            Quick::Never => return None,
        };
        let narrow = text
            .replace("{transactions}", "(SELECT * FROM wallet_transactions WHERE id = ANY($1) AND id BETWEEN $3 AND $4)")
            .replace(
                "{entries}",
                "(SELECT * FROM ledger_entries WHERE transaction_id = ANY($1) AND transaction_id BETWEEN $3 AND $4)",
            )
            .replace("{wallets}", "(SELECT * FROM wallets WHERE id = ANY($2))")
            .replace("{wallet_entries}", "(SELECT * FROM ledger_entries WHERE wallet_id = ANY($2))");
        Some(with_constants(&narrow))
    }
}

/// Inserts the tables that are generated from the code.
fn with_constants(text: &str) -> String {
    with_sums(text)
        .replace("{edges}", &edge_rows())
        .replace("{stages}", &stage_rows())
        .replace("{currencies}", &currency_rows())
}

/// Replaces each `{written: SUM: CURRENCY}` by an expression that formats the sum with its currency's decimals, and with more only if it has more.
fn with_sums(text: &str) -> String {
    let without: Vec<String> = Currency::all()
        .iter()
        .filter(|currency| currency.exponent() == 0)
        .map(|currency| format!("'{}'", currency.code()))
        .collect();
    let mut parts = text.split("{written: ");
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (blank, rest) = part.split_once('}').unwrap_or((part, ""));
        let (sum, currency) = blank.split_once(": ").unwrap_or((blank, "''"));
        let _ = write!(
            whole,
            "(round({sum}, greatest(scale(trim_scale({sum})), CASE WHEN {currency} IN ({}) THEN 0 ELSE 2 END)) || ' ' || {currency}){rest}",
            without.join(", ")
        );
    }
    whole
}

fn edge_rows() -> String {
    let rows = Flow::ALL.iter().flat_map(|flow| {
        edges(*flow)
            .iter()
            .map(move |edge| [flow.as_str(), edge.from.as_str(), edge.to.as_str()])
    });
    let mut list = String::new();
    for [flow, from, to] in rows {
        let comma = if list.is_empty() { "" } else { ", " };
        let _ = write!(list, "{comma}('{flow}', '{from}', '{to}')");
    }
    format!("(SELECT DISTINCT * FROM (VALUES {list}) AS listed (flow, from_stage, to_stage))")
}

fn stage_rows() -> String {
    let rows = Stage::ALL
        .iter()
        .map(|stage| format!("('{}', '{}')", stage.as_str(), stage.status().as_str()));
    format!("(VALUES {})", rows.collect::<Vec<_>>().join(", "))
}

fn currency_rows() -> String {
    let rows = Currency::all()
        .iter()
        .map(|currency| format!("('{}', {})", currency.code(), currency.exponent()));
    format!("(VALUES {})", rows.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_check_has_a_name_of_its_own_and_no_blank_left_open() {
        let names: HashSet<&str> = all().map(|check| check.name).collect();
        assert_eq!(names.len(), all().count());
        for check in all() {
            for sql in [Some(check.complete_sql()), check.quick_sql()]
                .into_iter()
                .flatten()
            {
                let open = [
                    "{transactions",
                    "{entries",
                    "{wallet",
                    "{edges",
                    "{stages",
                    "{currencies",
                    "{written",
                ];
                assert!(
                    open.iter().all(|blank| !sql.contains(blank)),
                    "{}: {sql}",
                    check.name
                );
            }
        }
    }
}
