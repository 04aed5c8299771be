//! When a key is used up, and what each failure asks for; the rows themselves are tested against PostgreSQL.

use super::attempt::{LookUp, code_of, look_up};
use super::*;
use crate::stripe::{Disposition, ErrorClass, LaneClosed};

fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + minutes * 60, 0).unwrap()
}

fn attempt(first_tried_at: Option<DateTime<Utc>>, tries: i32, code: Option<&str>) -> Attempt {
    Attempt::sample(
        "transfer:018f2f5e-7b3c-7000-8000-000000000001:1".parse().unwrap(),
        first_tried_at,
        tries,
        code,
    )
}

fn spent(attempt: &Attempt, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let (look_up, since) = look_up(attempt, now, false)?;
    assert_eq!(look_up, LookUp::Instead);
    Some(since)
}

#[test]
fn what_these_books_have_never_sent_is_looked_for_when_its_key_may_be_forgotten() {
    let mut untried = attempt(None, 0, None);
    untried.possible_since = at(0);
    assert_eq!(look_up(&untried, at(23 * 60 - 1), true), None);
    assert_eq!(
        look_up(&untried, at(23 * 60), true),
        Some((LookUp::Instead, at(0)))
    );
    assert_eq!(
        look_up(&untried, at(100_000), false),
        None,
        "a payout may be its account's own"
    );
    let mut tried = attempt(Some(at(22 * 60)), 1, None);
    tried.possible_since = at(0);
    assert_eq!(
        look_up(&tried, at(23 * 60), true),
        Some((LookUp::Before, at(0))),
        "lost books may have sent the key before"
    );
    assert_eq!(look_up(&tried, at(22 * 60 + 59), true), None);
}

#[test]
fn a_key_older_than_23_hours_is_never_sent_again() {
    let tried = attempt(Some(at(0)), 1, Some("no_answer"));
    assert_eq!(spent(&tried, at(23 * 60 - 1)), None);
    assert_eq!(spent(&tried, at(23 * 60)), Some(at(0)));
}

#[test]
fn what_lost_books_have_made_under_a_key_is_looked_for_since_it_was_possible() {
    let mut replayed = attempt(Some(at(12 * 60)), 3, Some("http_500"));
    replayed.possible_since = at(0);
    let since = |is_only_ours| look_up(&replayed, at(13 * 60), is_only_ours);
    assert_eq!(since(true), Some((LookUp::Instead, at(0))));
    assert_eq!(
        since(false),
        Some((LookUp::Instead, at(12 * 60))),
        "a payout may be its account's own"
    );
}

#[test]
fn a_key_that_was_never_sent_does_not_age() {
    assert_eq!(spent(&attempt(None, 0, None), at(100_000)), None);
}

#[test]
fn a_stored_failure_that_comes_back_three_times_is_looked_up() {
    for code in ["http_500", "unreadable_answer"] {
        assert_eq!(spent(&attempt(Some(at(0)), 2, Some(code)), at(1)), None, "{code}");
        assert!(
            spent(&attempt(Some(at(0)), 3, Some(code)), at(1)).is_some(),
            "{code}"
        );
    }
    for code in [
        None,
        Some("no_answer"),
        Some("http_503"),
        Some("idempotency_key_in_use"),
    ] {
        assert_eq!(spent(&attempt(Some(at(0)), 9, code), at(1)), None, "{code:?}");
    }
}

#[test]
fn the_row_tells_a_stored_500_from_an_error_on_the_way() {
    let error = |status, code: Option<&str>| StripeError {
        status,
        code: code.map(ToOwned::to_owned),
        ..StripeError::new(ErrorClass::Unknown)
    };
    assert_eq!(code_of(&error(Some(500), Some("api_error"))), "http_500");
    assert_eq!(code_of(&error(Some(503), None)), "http_503");
    assert_eq!(code_of(&error(None, Some("no_answer"))), "no_answer");
    assert_eq!(code_of(&error(None, None)), "unknown");
}

#[test]
fn what_was_not_sent_does_not_count() {
    let paused = CallError::LaneClosed(LaneClosed { until: at(1) });
    assert_eq!(paused.disposition(), Disposition::RetrySameKey { counts: false });
    assert_eq!(
        CallError::MadeNothing.disposition(),
        Disposition::RetrySameKey { counts: false }
    );
}
