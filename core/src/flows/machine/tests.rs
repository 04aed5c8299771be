use proptest::prelude::*;

use super::*;

#[test]
fn tables_have_no_cycle_and_no_way_out_of_a_final_stage() {
    for table in Flow::ALL.iter().map(|flow| edges(*flow)) {
        for edge in table {
            assert!(!edge.from.status().is_final(), "{edge:?}");
            assert!(!leads_to(table, edge.to, edge.from), "{edge:?} closes a cycle");
        }
    }
}

#[test]
fn every_stage_of_a_table_can_be_reached_and_can_end() {
    for table in Flow::ALL.iter().map(|flow| edges(*flow)) {
        for edge in table {
            assert!(leads_to(table, Stage::Accepted, edge.to), "{edge:?}");
            let ends = |stage: &&Stage| stage.status().is_final() && leads_to(table, edge.to, **stage);
            assert!(Stage::ALL.iter().any(|stage| ends(&stage)), "{edge:?}");
        }
    }
}

#[test]
fn an_event_told_twice_changes_nothing_the_second_time() {
    for table in Flow::ALL.iter().map(|flow| edges(*flow)) {
        for edge in table {
            assert_eq!(next(table, edge.to, edge.event), Next::Already, "{edge:?}");
        }
    }
}

#[test]
fn success_after_failure_is_a_contradiction() {
    assert_eq!(
        next(DEPOSIT, Stage::Failed, Event::PaymentSucceeded),
        Next::Contradiction
    );
    assert_eq!(
        next(WITHDRAWAL, Stage::Completed, Event::PayoutFailed),
        Next::Contradiction
    );
    assert_eq!(
        next(WITHDRAWAL, Stage::Returning, Event::PayoutPaid),
        Next::Contradiction
    );
}

proptest! {
    #[test]
    fn whatever_is_told_in_whatever_order_final_stages_stay(
        flow in proptest::sample::select(Flow::ALL), told in proptest::collection::vec(proptest::sample::select(Event::ALL), 0..40)
    ) {
        let mut stage = Stage::Accepted;
        for event in told {
            let before = stage;
            if let Next::To(to) = next(edges(flow), stage, event) {
                stage = to;
            }
            prop_assert!(!before.status().is_final() || before == stage);
        }
    }
}

#[test]
fn names_lead_back_to_their_stage() {
    for stage in Stage::ALL {
        assert_eq!(stage.as_str().parse(), Ok(*stage));
    }
}
