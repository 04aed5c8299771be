//! Lines of the timeline alone.

use crate::flows::testing::{at, transaction, usd};
use crate::flows::{Command, Context, decide};
use crate::ledger::LockedBalances;
use crate::transactions::{Flow, Stage, TimelineKind};

#[test]
fn a_note_about_a_stage_that_is_passed_is_left_out() {
    let note = Command::Note {
        kind: TimelineKind::StripeEvent,
        message: "the payout is on its way to your bank".to_owned(),
        detail: None,
        at: Stage::PayingOut,
        once: None,
    };
    let balances = LockedBalances::default();
    let context = Context {
        balances: &balances,
        original: None,
        relatives: &[],
        suspended: &[],
        money_sent: true,
        booked: false,
        known_as: &[],
    };
    let withdrawal = || transaction(1, Flow::Withdrawal, usd(500));
    let under_way = decide(&at(Stage::PayingOut, withdrawal()), context, &note);
    assert!(matches!(under_way, Ok(Some(_))), "{under_way:?}");
    let paid = decide(&at(Stage::Completed, withdrawal()), context, &note);
    assert!(matches!(paid, Ok(None)), "{paid:?}");
}
