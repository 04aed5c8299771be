//! Idempotency keys over HTTP.

use super::*;

const PATH: &str = "/v1/payment_intents";
const FORM: [(&str, &str); 5] = [
    ("amount", "1000"),
    ("currency", "usd"),
    ("confirm", "true"),
    ("payment_method", "pm_card_visa"),
    ("payment_method_types[]", "card"),
];

/// <https://docs.stripe.com/api/idempotent_requests>
#[tokio::test]
async fn a_repeated_key_replays_the_first_answer_and_nothing_happens_twice() {
    let stripe = Fixture::new().await;
    let first = stripe.post_with_key(PATH, &FORM, "deposit:1:1").await;
    let again = stripe.post_with_key(PATH, &FORM, "deposit:1:1").await;
    assert_eq!(first.body, again.body);
    assert!(!first.headers.contains_key("idempotent-replayed"));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(again.headers["original-request"], first.headers["request-id"]);
    assert_eq!(stripe.effects("payment_intent.succeed").await.len(), 1);
}

/// <https://docs.stripe.com/api/idempotent_requests>
#[tokio::test]
async fn a_decline_is_replayed_but_a_refused_parameter_is_not() {
    let stripe = Fixture::new().await;
    let mut declined = FORM;
    declined[3].1 = "pm_card_chargeDeclined";
    for replayed in [false, true] {
        let answer = stripe.post_with_key(PATH, &declined, "k1").await;
        assert_eq!(
            (
                answer.status.as_u16(),
                answer.headers.contains_key("idempotent-replayed")
            ),
            (402, replayed)
        );
    }
    let mut small = FORM;
    small[0].1 = "1";
    assert_eq!(stripe.post_with_key(PATH, &small, "k2").await.status, 400);
    assert_eq!(
        stripe.post_with_key(PATH, &FORM, "k2").await.status,
        200,
        "the key is still free"
    );
}

/// <https://docs.stripe.com/api/idempotent_requests>
#[tokio::test]
async fn other_parameters_under_the_same_key_are_an_idempotency_error() {
    let stripe = Fixture::new().await;
    stripe.post_with_key(PATH, &FORM, "k").await.ok();
    let mut other = FORM;
    other[0].1 = "2000";
    let refused = stripe.post_with_key(PATH, &other, "k").await;
    assert_eq!(
        (refused.status.as_u16(), refused.error("type")),
        (400, "idempotency_error")
    );
    assert_eq!(
        stripe.post_with_key(PATH, &FORM, &"k".repeat(256)).await.status,
        400
    );
}

/// Stripe compares a request with the first one under its key (<https://docs.stripe.com/api/idempotent_requests>); whoever repeats one sends
/// the same bytes.
#[tokio::test]
async fn the_same_parameters_in_another_order_are_not_the_same_request() {
    let stripe = Fixture::new().await;
    stripe.post_with_key(PATH, &FORM, "k").await.ok();
    let mut turned = FORM;
    turned.reverse();
    let refused = stripe.post_with_key(PATH, &turned, "k").await;
    assert_eq!(
        (refused.status.as_u16(), refused.error("type")),
        (400, "idempotency_error")
    );
    assert_eq!(stripe.post_with_key(PATH, &FORM, "k").await.status, 200);
    assert_eq!(stripe.effects("payment_intent.succeed").await.len(), 1);
}

#[tokio::test]
async fn keys_of_two_accounts_do_not_meet() {
    let stripe = Fixture::new().await;
    let account = stripe.account().await;
    let form = [("email", "a@example.com")];
    let own = stripe.post_with_key("/v1/customers", &form, "k").await.ok();
    let request = stripe
        .request(Method::POST, "/v1/customers")
        .form(&form)
        .header("idempotency-key", "k");
    let theirs = stripe.send(request.header("stripe-account", &account)).await.ok();
    assert_ne!(own["id"], theirs["id"]);
}

/// <https://docs.stripe.com/error-low-level>
#[tokio::test]
async fn a_key_in_flight_is_a_409_and_works_afterwards() {
    let stripe = Fixture::new().await;
    stripe
        .control(
            "faults",
            json!({ "operation": "payment_intents.create", "nth": 1, "latency_ms": 300 }),
        )
        .await;
    let first = stripe.post_with_key(PATH, &FORM, "k");
    let second = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stripe.post_with_key(PATH, &FORM, "k").await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 409));
    assert_eq!(second.error("code"), "idempotency_key_in_use");
    assert_eq!(stripe.post_with_key(PATH, &FORM, "k").await.body, first.body);
}

/// <https://docs.stripe.com/api/idempotent_requests>
#[tokio::test]
async fn a_key_is_forgotten_after_24_hours_of_the_simulator_s_clock() {
    let stripe = Fixture::new().await;
    let first = stripe.post_with_key(PATH, &FORM, "k").await.ok();
    stripe
        .control("clock", json!({ "advance_seconds": 86_000 }))
        .await;
    assert_eq!(
        stripe.post_with_key(PATH, &FORM, "k").await.ok()["id"],
        first["id"]
    );
    stripe.control("clock", json!({ "advance_seconds": 400 })).await;
    assert_ne!(
        stripe.post_with_key(PATH, &FORM, "k").await.ok()["id"],
        first["id"]
    );
    assert_eq!(stripe.effects("payment_intent.succeed").await.len(), 2);
}
