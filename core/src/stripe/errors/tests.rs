//! One row for each answer that needs a decision of its own.

use super::ErrorClass::{
    AccountForbidden, AuthenticationRequired, Declined, Foreign, InUse, InsufficientPlatformFunds,
    KeyRefused, KindForbidden, Misuse, NotFound, ObjectBusy, RateLimited, Refused, Unknown, Unreachable,
    Unreadable,
};
use super::*;

type Row = (
    u16,
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
    ErrorClass,
);

const ANSWERS: &[Row] = &[
    (500, "api_error", None, None, Unknown),
    (502, "api_error", None, None, Unknown),
    (503, "api_error", None, None, Unknown),
    (504, "api_error", None, None, Unknown),
    (500, "invalid_request_error", Some("lock_timeout"), None, Unknown),
    (424, "api_error", None, None, Unknown),
    (408, "api_error", None, None, Unknown),
    (302, "", None, None, Unknown),
    (200, "card_error", Some("card_declined"), None, Unknown),
    (
        409,
        "idempotency_error",
        Some("idempotency_key_in_use"),
        None,
        InUse,
    ),
    (
        409,
        "invalid_request_error",
        Some("idempotency_key_in_use"),
        None,
        InUse,
    ),
    (409, "invalid_request_error", None, None, InUse),
    (
        429,
        "invalid_request_error",
        Some("rate_limit"),
        None,
        RateLimited,
    ),
    (429, "api_error", None, None, RateLimited),
    (
        429,
        "invalid_request_error",
        Some("lock_timeout"),
        None,
        ObjectBusy,
    ),
    (
        400,
        "invalid_request_error",
        Some("lock_timeout"),
        None,
        ObjectBusy,
    ),
    (
        400,
        "invalid_request_error",
        Some("balance_insufficient"),
        None,
        InsufficientPlatformFunds,
    ),
    (
        402,
        "card_error",
        Some("card_declined"),
        Some("generic_decline"),
        Declined,
    ),
    (
        402,
        "card_error",
        Some("card_declined"),
        Some("insufficient_funds"),
        Declined,
    ),
    (402, "card_error", Some("expired_card"), None, Declined),
    (402, "card_error", Some("incorrect_cvc"), None, Declined),
    (402, "card_error", Some("processing_error"), None, Declined),
    (
        402,
        "invalid_request_error",
        Some("bank_account_declined"),
        None,
        Declined,
    ),
    (
        402,
        "card_error",
        Some("authentication_required"),
        Some("authentication_required"),
        AuthenticationRequired,
    ),
    (
        402,
        "card_error",
        Some("card_declined"),
        Some("authentication_required"),
        AuthenticationRequired,
    ),
    (
        400,
        "invalid_request_error",
        Some("parameter_missing"),
        None,
        Refused,
    ),
    (
        400,
        "invalid_request_error",
        Some("amount_too_small"),
        None,
        Refused,
    ),
    (
        400,
        "invalid_request_error",
        Some("resource_missing"),
        None,
        Refused,
    ),
    (
        400,
        "invalid_request_error",
        Some("payment_intent_unexpected_state"),
        None,
        Refused,
    ),
    (
        400,
        "invalid_request_error",
        Some("payouts_not_allowed"),
        None,
        Refused,
    ),
    (
        400,
        "invalid_request_error",
        Some("a_code_of_tomorrow"),
        None,
        Refused,
    ),
    (
        400,
        "invalid_request_error",
        Some("charge_already_refunded"),
        None,
        Refused,
    ),
    (
        400,
        "invalid_request_error",
        Some("charge_disputed"),
        None,
        Refused,
    ),
    (
        400,
        "invalid_request_error",
        Some("refund_disputed_payment"),
        None,
        Refused,
    ),
    (
        400,
        "invalid_request_error",
        Some("amount_too_large"),
        None,
        Refused,
    ),
    (400, "a_type_of_tomorrow", None, None, Refused),
    (
        403,
        "invalid_request_error",
        Some("account_invalid"),
        None,
        Refused,
    ),
    (400, "idempotency_error", None, None, Misuse),
    (
        404,
        "invalid_request_error",
        Some("resource_missing"),
        None,
        NotFound,
    ),
    (401, "invalid_request_error", None, None, KeyRefused),
];

/// Answers that refuse more than one call (<https://docs.stripe.com/error-codes>, <https://docs.stripe.com/api/errors>): the status, the code,
/// whether the request named a connected account, and the expected class and scope.
const REFUSALS: &[(u16, Option<&str>, bool, ErrorClass, Scope)] = &[
    (401, None, false, KeyRefused, Scope::Key),
    (401, None, true, KeyRefused, Scope::Key),
    (401, Some("api_key_expired"), false, KeyRefused, Scope::Key),
    (
        401,
        Some("platform_api_key_expired"),
        true,
        KeyRefused,
        Scope::Key,
    ),
    (
        403,
        Some("platform_api_key_expired"),
        true,
        KeyRefused,
        Scope::Key,
    ),
    (403, Some("secret_key_required"), false, KeyRefused, Scope::Key),
    (
        403,
        Some("more_permissions_required_for_application"),
        true,
        AccountForbidden,
        Scope::Account,
    ),
    (
        403,
        Some("more_permissions_required_for_application"),
        false,
        AccountForbidden,
        Scope::Account,
    ),
    (
        403,
        Some("platform_account_required"),
        true,
        AccountForbidden,
        Scope::Account,
    ),
    (403, None, true, AccountForbidden, Scope::Account),
    (
        403,
        Some("a_code_of_tomorrow"),
        true,
        AccountForbidden,
        Scope::Account,
    ),
    (403, Some("account_invalid"), true, Refused, Scope::Call),
    (403, Some("account_invalid"), false, Refused, Scope::Call),
    (403, None, false, KindForbidden, Scope::Kind),
    (403, Some("a_code_of_tomorrow"), false, KindForbidden, Scope::Kind),
];

#[test]
fn a_refusal_is_about_the_smallest_thing_it_can_be_about() {
    for &(status, code, names_account, class, scope) in REFUSALS {
        let got = classify(Failure::Answer {
            status,
            kind: "invalid_request_error",
            code,
            decline_code: None,
            names_account,
        });
        assert_eq!(
            (got, got.scope()),
            (class, scope),
            "{status} {code:?} {names_account}"
        );
    }
}

#[test]
fn only_a_refused_key_is_about_everybody_and_only_an_outage_about_a_lane() {
    for class in [
        AccountForbidden,
        KindForbidden,
        Refused,
        NotFound,
        Declined,
        Misuse,
        Unreadable,
        Foreign,
    ] {
        assert!(!class.is_outage(), "{class}");
    }
    for class in [Unknown, RateLimited, Unreachable, KeyRefused] {
        assert!(class.is_outage() && !class.proves_key(), "{class}");
    }
}

#[test]
fn every_answer_of_stripe_has_its_class() {
    for &(status, kind, code, decline_code, class) in ANSWERS {
        let got = classify(Failure::Answer {
            status,
            kind,
            code,
            decline_code,
            names_account: false,
        });
        assert_eq!(got, class, "{status} {kind} {code:?} {decline_code:?}");
    }
}

#[test]
fn what_was_never_sent_is_not_taken_for_what_may_have_happened() {
    assert_eq!(classify(Failure::NotSent), Unreachable);
    assert_eq!(classify(Failure::NotBuilt), Misuse);
    assert_eq!(classify(Failure::NoAnswer), Unknown);
    assert_eq!(classify(Failure::Unreadable), Unreadable);
    assert!(!Unreadable.leaves_key_unused() && !Unreadable.ends_attempt());
}

#[test]
fn every_class_has_its_disposition() {
    let table = [
        (Unknown, Disposition::RetrySameKey { counts: true }),
        (Unreadable, Disposition::RetrySameKey { counts: true }),
        (Foreign, Disposition::NeedsReview),
        (InUse, Disposition::RetrySameKey { counts: false }),
        (RateLimited, Disposition::RetrySameKey { counts: false }),
        (ObjectBusy, Disposition::RetrySameKey { counts: false }),
        (Unreachable, Disposition::RetrySameKey { counts: false }),
        (InsufficientPlatformFunds, Disposition::WaitForFunds),
        (Declined, Disposition::FailDefinite),
        (Refused, Disposition::FailDefinite),
        (AuthenticationRequired, Disposition::AwaitPayer),
        (NotFound, Disposition::NeedsReview),
        (Misuse, Disposition::NeedsReview),
        (AccountForbidden, Disposition::RetryThenReview),
        (KindForbidden, Disposition::RetryThenReview),
        (KeyRefused, Disposition::PauseAll),
    ];
    for (class, disposition) in table {
        assert_eq!(class.disposition(), disposition, "{class}");
    }
}

#[test]
fn an_attempt_ends_only_when_the_outcome_is_certain() {
    for class in [Unknown, InUse, Misuse] {
        assert!(!class.ends_attempt() && !class.leaves_key_unused(), "{class}");
    }
    for class in [
        RateLimited,
        ObjectBusy,
        AccountForbidden,
        KindForbidden,
        KeyRefused,
        Unreachable,
    ] {
        assert!(!class.ends_attempt() && class.leaves_key_unused(), "{class}");
    }
    for class in [
        InsufficientPlatformFunds,
        Declined,
        AuthenticationRequired,
        Refused,
        NotFound,
    ] {
        assert!(class.ends_attempt() && !class.leaves_key_unused(), "{class}");
    }
}

#[test]
fn an_error_shows_its_class_and_status() {
    let error = StripeError {
        status: Some(500),
        ..StripeError::new(Unknown)
    };
    assert_eq!(
        error.to_string(),
        "stripe call failed (unknown, http 500): the payment provider has not confirmed the outcome yet"
    );
    let error = StripeError {
        status: Some(401),
        ..StripeError::new(KeyRefused)
    };
    assert_eq!(
        error.to_string(),
        "stripe call failed (key_refused, http 401): Stripe refuses the key: set STRIPE_SECRET_KEY to one that works"
    );
    assert_eq!(
        error.message, "the payment provider cannot be reached",
        "what its owner reads"
    );
}
