//! The states of the breaker, with times given as numbers.

use super::*;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

/// Settings whose numbers are easily told apart.
fn breakers() -> Breakers {
    Breakers::new(BreakerSettings {
        failures: 5,
        rate_limited: 10,
        pause: TimeDelta::seconds(5),
        longest_pause: TimeDelta::seconds(120),
        probe: TimeDelta::seconds(30),
    })
}

fn call(breakers: &Breakers, lane: Lane, outcome: Option<ErrorClass>, seconds: i64) {
    let permit = breakers.permit(lane, at(seconds)).unwrap();
    breakers.record(permit, outcome, at(seconds));
}

/// The time until which the lane is paused, or `None` if it is not.
fn paused_until(breakers: &Breakers, lane: Lane, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    breakers.with(lane, |state, _| match *state {
        State::Open { until, .. } | State::Probing { until, .. } if now < until => Some(until),
        _ => None,
    })
}

#[test]
fn a_streak_without_answers_opens_its_lane_only() {
    for class in [ErrorClass::Unknown, ErrorClass::Unreachable] {
        let breakers = breakers();
        for _ in 0..4 {
            call(&breakers, Lane::Deposits, Some(class), 0);
        }
        assert_eq!(paused_until(&breakers, Lane::Deposits, at(0)), None, "{class}");
        call(&breakers, Lane::Deposits, Some(class), 0);
        assert_eq!(
            breakers.permit(Lane::Deposits, at(4)).unwrap_err(),
            LaneClosed { until: at(5) }
        );
        assert!(breakers.permit(Lane::Withdrawals, at(4)).is_ok());
    }
}

#[test]
fn an_answer_of_any_kind_ends_the_streak() {
    let breakers = breakers();
    for outcome in [
        None,
        Some(ErrorClass::Declined),
        Some(ErrorClass::Refused),
        Some(ErrorClass::NotFound),
    ] {
        for _ in 0..4 {
            call(&breakers, Lane::Deposits, Some(ErrorClass::Unknown), 0);
        }
        call(&breakers, Lane::Deposits, outcome, 0);
    }
    assert_eq!(paused_until(&breakers, Lane::Deposits, at(0)), None);
}

#[test]
fn an_unaccepted_key_opens_every_lane_at_once() {
    let breakers = breakers();
    call(&breakers, Lane::Deposits, Some(ErrorClass::KeyRefused), 0);
    for &lane in Lane::ALL {
        assert!(breakers.permit(lane, at(1)).is_err(), "{}", lane.as_str());
    }
}

#[test]
fn a_storm_of_rate_limits_opens_and_busy_objects_do_not() {
    let breakers = breakers();
    for _ in 0..20 {
        call(&breakers, Lane::Deposits, Some(ErrorClass::ObjectBusy), 0);
        call(&breakers, Lane::Deposits, Some(ErrorClass::InUse), 0);
    }
    for _ in 0..10 {
        assert_eq!(paused_until(&breakers, Lane::Deposits, at(0)), None);
        call(&breakers, Lane::Deposits, Some(ErrorClass::RateLimited), 0);
    }
    assert!(breakers.permit(Lane::Deposits, at(0)).is_err());
}

#[test]
fn one_probe_goes_through_and_closes_the_breaker_when_it_succeeds() {
    let breakers = breakers();
    call(&breakers, Lane::Deposits, Some(ErrorClass::KeyRefused), 0);
    let probe = breakers.permit(Lane::Deposits, at(5)).unwrap();
    assert!(
        breakers.permit(Lane::Deposits, at(6)).is_err(),
        "a second call beside the probe"
    );
    breakers.record(probe, None, at(7));
    assert!(breakers.permit(Lane::Deposits, at(7)).is_ok());
    assert!(breakers.permit(Lane::Deposits, at(7)).is_ok());
}

#[test]
fn failed_probes_double_the_pause_up_to_the_longest() {
    let breakers = breakers();
    call(&breakers, Lane::Deposits, Some(ErrorClass::KeyRefused), 0);
    let mut now = 0;
    let mut pauses = Vec::new();
    for _ in 0..7 {
        let until = paused_until(&breakers, Lane::Deposits, at(now)).unwrap();
        pauses.push((until - at(now)).num_seconds());
        now = (until - at(0)).num_seconds();
        call(&breakers, Lane::Deposits, Some(ErrorClass::Unreachable), now);
    }
    assert_eq!(pauses, [5, 10, 20, 40, 80, 120, 120]);
}

#[test]
fn a_probe_that_never_comes_back_does_not_close_the_lane_for_ever() {
    let breakers = breakers();
    call(&breakers, Lane::Deposits, Some(ErrorClass::KeyRefused), 0);
    let _lost = breakers.permit(Lane::Deposits, at(5)).unwrap();
    assert!(breakers.permit(Lane::Deposits, at(34)).is_err());
    assert!(breakers.permit(Lane::Deposits, at(35)).is_ok());
}

#[test]
fn a_probe_that_was_not_sent_after_all_leaves_its_place_to_the_next_call() {
    let breakers = breakers();
    call(&breakers, Lane::Deposits, Some(ErrorClass::KeyRefused), 0);
    drop(breakers.permit(Lane::Deposits, at(5)).unwrap());
    assert!(breakers.awaits_probe(Lane::Deposits, at(5)));
    let probe = breakers.permit(Lane::Deposits, at(5)).unwrap();
    assert!(
        breakers.permit(Lane::Deposits, at(6)).is_err(),
        "two probes at once"
    );
    breakers.record(probe, Some(ErrorClass::Unreachable), at(6));
    assert_eq!(
        paused_until(&breakers, Lane::Deposits, at(6)),
        Some(at(16)),
        "the pause grew with the probe that failed, and only with that"
    );
}

#[test]
fn calls_from_before_the_opening_decide_nothing() {
    let breakers = breakers();
    let early = breakers.permit(Lane::Deposits, at(0)).unwrap();
    let late = breakers.permit(Lane::Deposits, at(0)).unwrap();
    call(&breakers, Lane::Deposits, Some(ErrorClass::KeyRefused), 0);
    breakers.record(early, None, at(1));
    assert!(
        breakers.permit(Lane::Deposits, at(1)).is_err(),
        "opened again by an old success"
    );
    breakers.record(late, Some(ErrorClass::Unknown), at(1));
    assert_eq!(paused_until(&breakers, Lane::Deposits, at(1)), Some(at(5)));
}

#[test]
fn whoever_lets_work_resume_is_told_of_probes_that_are_due_and_once_of_a_lane_that_has_closed() {
    let breakers = breakers();
    assert!(!breakers.is_paused(Lane::Deposits) && !breakers.awaits_probe(Lane::Deposits, at(0)));
    for _ in 0..5 {
        call(&breakers, Lane::Deposits, Some(ErrorClass::Unreachable), 0);
    }
    assert!(breakers.is_paused(Lane::Deposits) && !breakers.awaits_probe(Lane::Deposits, at(4)));
    assert!(breakers.awaits_probe(Lane::Deposits, at(5)));
    assert!(!breakers.awaits_probe(Lane::Withdrawals, at(5)));
    let probe = breakers.permit(Lane::Deposits, at(5)).unwrap();
    assert!(!breakers.awaits_probe(Lane::Deposits, at(6)), "one is under way");
    assert_eq!(breakers.take_resumed(), []);
    breakers.record(probe, None, at(6));
    assert!(!breakers.is_paused(Lane::Deposits));
    assert_eq!(breakers.take_resumed(), [Lane::Deposits]);
    assert_eq!(breakers.take_resumed(), []);
}

#[test]
fn by_default_a_lane_is_probed_every_two_seconds_at_least() {
    let breakers = Breakers::new(BreakerSettings::default());
    for second in 0..3 {
        call(&breakers, Lane::Deposits, Some(ErrorClass::Unreachable), second);
    }
    let mut now = 2;
    for _ in 0..10 {
        let until = paused_until(&breakers, Lane::Deposits, at(now)).unwrap();
        assert!(until - at(now) <= TimeDelta::seconds(2));
        now = (until - at(0)).num_seconds();
        call(&breakers, Lane::Deposits, Some(ErrorClass::Unreachable), now);
    }
}

#[test]
fn a_refusal_about_one_account_or_one_kind_of_object_pauses_nothing() {
    let breakers = breakers();
    for class in [
        ErrorClass::AccountForbidden,
        ErrorClass::KindForbidden,
        ErrorClass::Refused,
    ] {
        for &lane in Lane::ALL {
            for _ in 0..20 {
                call(&breakers, lane, Some(class), 0);
            }
        }
    }
    for &lane in Lane::ALL {
        assert!(!breakers.is_paused(lane), "{}", lane.as_str());
    }
    assert_eq!(breakers.key().refused_since, None);
}

#[test]
fn a_refused_account_as_the_probe_lets_the_others_go_on() {
    let breakers = breakers();
    for _ in 0..5 {
        call(&breakers, Lane::Withdrawals, Some(ErrorClass::Unreachable), 0);
    }
    call(
        &breakers,
        Lane::Withdrawals,
        Some(ErrorClass::AccountForbidden),
        5,
    );
    assert!(!breakers.is_paused(Lane::Withdrawals), "stripe has answered");
}

#[test]
fn the_key_is_refused_from_the_first_refusal_until_stripe_accepts_it() {
    let breakers = breakers();
    call(&breakers, Lane::Deposits, Some(ErrorClass::KeyRefused), 1);
    call(&breakers, Lane::Webhooks, Some(ErrorClass::KeyRefused), 40);
    assert_eq!(breakers.key().refused_since, Some(at(1)));
    let nothing_told = [
        ErrorClass::Unknown,
        ErrorClass::Unreachable,
        ErrorClass::RateLimited,
    ];
    for (nothing_told, second) in nothing_told.into_iter().zip([100, 300, 500]) {
        call(&breakers, Lane::Deposits, Some(nothing_told), second);
        assert_eq!(breakers.key().refused_since, Some(at(1)), "{nothing_told}");
    }
    call(&breakers, Lane::Deposits, Some(ErrorClass::NotFound), 1_000);
    assert_eq!(breakers.key().refused_since, None);
    call(&breakers, Lane::Deposits, Some(ErrorClass::KeyRefused), 2_000);
    call(&breakers, Lane::Maintenance, None, 3_000);
    assert_eq!(breakers.key().refused_since, None);
}
