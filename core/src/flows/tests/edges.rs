use super::cases;
use crate::flows::edges;
use crate::ledger::Leg;
use crate::transactions::Flow;

fn sorted(mut legs: Vec<Leg>) -> Vec<String> {
    let mut lines: Vec<String> = legs
        .drain(..)
        .map(|leg| format!("{:?} {}", leg.account, leg.amount))
        .collect();
    lines.sort_unstable();
    lines
}

#[test]
fn every_edge_is_walked_by_a_case() {
    let cases = cases::all();
    for flow in Flow::ALL {
        for edge in edges(*flow) {
            let walked = cases.iter().any(|case| {
                case.transaction.flow == *flow
                    && case.transaction.stage == edge.from
                    && case.event() == Some(edge.event)
                    && case.to == Some(edge.to)
            });
            assert!(walked, "no case for {} {edge:?}", flow.as_str());
        }
    }
}

#[test]
fn every_case_leads_where_its_table_says_and_moves_what_its_flow_says() {
    for case in cases::all() {
        let decision = case.decide();
        assert_eq!(decision.to, case.to, "{}", case.name());
        if let Some(to) = case.to {
            let (from, event) = (case.transaction.stage, case.event());
            let known = edges(case.transaction.flow)
                .iter()
                .any(|edge| edge.from == from && Some(edge.event) == event && edge.to == to);
            assert!(known, "{} takes an edge that is not in the table", case.name());
        }
        assert_eq!(
            sorted(decision.legs.clone()),
            sorted(case.legs()),
            "{}",
            case.name()
        );
        let owes = decision.owes.map_or(0, |(_, debt)| debt.minor().unwrap());
        assert_eq!(owes, case.owes, "{}", case.name());
        // Unbalanced legs, and those that would make a balance negative, are refused here.
        assert!(
            case.balances().book(&decision.legs, decision.owes).is_ok(),
            "{}",
            case.name()
        );
    }
}
