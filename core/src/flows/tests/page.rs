//! `docs/FLOWS.md`: the tables drawn, their postings taken from the decisions themselves.

use std::fmt::Write;

use super::cases::{self, Case};
use crate::flows::testing::OTHER;
use crate::flows::{Edge, Event, edges};
use crate::ledger::{Account, Leg};
use crate::transactions::{Flow, Stage};

const HEAD: &str = "\
# The flows of money

Drawn from the tables in `core/src/flows`, with postings that the flows decided while this page was written. A test fails when the
page differs from the code; `UPDATE_FLOWS=1 bin/test flows_page` writes it again.

A posting reads `from → to`, in the example of a transaction of 100.00 usd whose wallet has 500.00 usd to spend, unless the table says
otherwise. `available` and `held` are the wallet's, `other wallet` the counterparty's. An event that has happened before changes
nothing; one that has no edge and has not happened is a contradiction: nothing is written and an alarm is raised.

Cancelled, refused and failed transactions never change again, nor do completed ones; money that moves later, because of Stripe, is
booked beside the stages or by a transaction of its own.
";

/// The rules of a flow: the documentation of its file.
fn rules(flow: Flow) -> String {
    let source = match flow {
        Flow::Deposit => include_str!("../deposit.rs"),
        Flow::Withdrawal => include_str!("../withdrawal.rs"),
        Flow::Transfer | Flow::Payment => include_str!("../transfer.rs"),
        Flow::PaymentRefund => include_str!("../payment_refund.rs"),
        Flow::DepositRefund | Flow::OutsideRefund => include_str!("../refund.rs"),
        Flow::RefundReturn | Flow::PayoutReturn => include_str!("../returned.rs"),
        Flow::Dispute => include_str!("../dispute.rs"),
        Flow::DisputeReturn | Flow::DisputeLoss => include_str!("../dispute_turn.rs"),
        Flow::DebtPayment => include_str!("../debt_payment.rs"),
    };
    documentation(source)
}

fn documentation(source: &str) -> String {
    let lines: Vec<&str> = source
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(str::trim)
        .collect();
    // Rustdoc's links do not work in a Markdown page.
    lines.join("\n").replace("[`", "`").replace("`]", "`")
}

fn account(account: Account) -> String {
    match account {
        Account::Available(OTHER) => "other wallet".to_owned(),
        Account::Available(_) => "available".to_owned(),
        Account::Held(_) => "held".to_owned(),
        Account::Platform(_) => format!("`{account}`"),
    }
}

fn posting(pair: &[Leg]) -> String {
    let [one, other] = pair else {
        panic!("legs come in pairs")
    };
    let (from, to) = if other.amount.is_positive() {
        (one, other)
    } else {
        (other, one)
    };
    format!(
        "{} → {} {}",
        account(from.account),
        account(to.account),
        to.amount.amount()
    )
}

/// What a case decides: postings, debts, and what happens next.
fn words(case: &Case) -> String {
    let decision = case.decide();
    let mut words: Vec<String> = decision.legs.chunks(2).map(posting).collect();
    if let Some((_, debt)) = decision.owes.filter(|(_, debt)| !debt.is_zero()) {
        words.push(format!("owed {:+}", debt.amount()));
    }
    if words.is_empty() {
        words.push("nothing moves".to_owned());
    }
    let when = if case.when.is_empty() {
        String::new()
    } else {
        format!("{}: ", case.when)
    };
    format!("{when}{}", words.join("; "))
}

fn jobs(cases: &[&Case]) -> String {
    let mut jobs: Vec<&str> = cases
        .iter()
        .flat_map(|case| case.decide().follow_ups)
        .map(|job| job.as_str())
        .collect();
    jobs.dedup();
    jobs.into_iter()
        .map(|job| format!("`{job}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn diagram(page: &mut String, table: &[Edge]) {
    page.push_str("```mermaid\nstateDiagram-v2\n    [*] --> accepted\n");
    for edge in table {
        let (from, to) = (edge.from.as_str(), edge.to.as_str());
        writeln!(page, "    {from} --> {to}: {:?}", edge.event).unwrap();
    }
    for stage in Stage::ALL.iter().filter(|stage| stage.status().is_final()) {
        if table.iter().any(|edge| edge.to == *stage) {
            writeln!(page, "    {} --> [*]", stage.as_str()).unwrap();
        }
    }
    page.push_str("```\n");
}

fn flow_section(page: &mut String, flow: Flow, cases: &[Case]) {
    let (name, kind) = (flow.as_str(), flow.transaction_type().as_str());
    writeln!(
        page,
        "\n## `{name}`\n\n{} Its type is `{kind}`.\n",
        flow.meaning()
    )
    .unwrap();
    writeln!(page, "{}\n", rules(flow)).unwrap();
    diagram(page, edges(flow));
    page.push_str("\n| at | event | leads to | posting | next job |\n|---|---|---|---|---|\n");
    for edge in edges(flow) {
        let of_edge: Vec<&Case> = cases
            .iter()
            .filter(|case| {
                let walked = (case.transaction.stage, case.event(), case.to);
                case.transaction.flow == flow && walked == (edge.from, Some(edge.event), Some(edge.to))
            })
            .collect();
        let postings: Vec<String> = of_edge.iter().map(|case| words(case)).collect();
        let (from, to) = (edge.from.as_str(), edge.to.as_str());
        writeln!(
            page,
            "| `{from}` | {:?} | `{to}` | {} | {} |",
            edge.event,
            postings.join("<br>"),
            jobs(&of_edge)
        )
        .unwrap();
    }
    let beside: Vec<&Case> = cases
        .iter()
        .filter(|case| case.transaction.flow == flow && case.to.is_none())
        .collect();
    if !beside.is_empty() {
        page.push_str("\nBeside the stages:\n\n");
    }
    for case in beside {
        writeln!(page, "- `{}`: {}", case.transaction.stage.as_str(), words(case)).unwrap();
    }
}

fn page() -> String {
    let cases = cases::all();
    let mut page = HEAD.to_owned();
    page.push_str("\n## Stages\n\n| stage | status | meaning |\n|---|---|---|\n");
    for stage in Stage::ALL {
        let (name, status) = (stage.as_str(), stage.status().as_str());
        writeln!(page, "| `{name}` | {status} | {} |", stage.meaning()).unwrap();
    }
    page.push_str("\n## Events\n\n| event | meaning |\n|---|---|\n");
    for event in Event::ALL {
        writeln!(page, "| {event:?} | {} |", event.meaning()).unwrap();
    }
    let debt = documentation(include_str!("../debt.rs"));
    writeln!(page, "\n## What is owed\n\n{debt}").unwrap();
    for flow in Flow::ALL {
        flow_section(&mut page, *flow, &cases);
    }
    page
}

/// `UPDATE_FLOWS=1 cargo test -p wallet-core flows_page` rewrites the file.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a switch for the person who runs the test"
)]
fn flows_page_is_what_the_tables_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/FLOWS.md");
    let page = page();
    if std::env::var_os("UPDATE_FLOWS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == page,
        "docs/FLOWS.md is not up to date: UPDATE_FLOWS=1 cargo test -p wallet-core flows_page"
    );
}

#[test]
fn every_stage_event_and_flow_says_what_it_means_in_one_line() {
    let meanings = Stage::ALL
        .iter()
        .map(|stage| stage.meaning())
        .chain(Event::ALL.iter().map(|event| event.meaning()))
        .chain(Flow::ALL.iter().map(|flow| flow.meaning()));
    for meaning in meanings {
        assert!(
            meaning.ends_with('.') && !meaning.contains(['\n', '|']),
            "{meaning:?}"
        );
    }
}
