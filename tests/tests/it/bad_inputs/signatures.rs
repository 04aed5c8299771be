//! Deliveries that do not come from Stripe, or not now.

use serde_json::json;
use wallet_tests::TestApp;
use wallet_tests::system::{CONNECT_SECRET, PLATFORM_SECRET};
use wallet_tests::webhook::sign;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_stripe_signed_over_these_bytes_now_is_taken() {
    let app = TestApp::with_workers(0).await;
    let now = chrono::Utc::now().timestamp();
    let event = json!({ "id": "evt_unsigned", "object": "event", "type": "customer.updated", "livemode": false, "data": { "object": {} } });
    let body = serde_json::to_string_pretty(&event).unwrap();
    let v1 = |time: i64, body: &str| sign(PLATFORM_SECRET, time, body.as_bytes());
    let good = v1(now, &body);
    let headers = [
        ("an empty header", String::new()),
        (
            "the secret itself, as the specification shows it",
            PLATFORM_SECRET.to_owned(),
        ),
        ("v0 only", format!("t={now},v0={good}")),
        (
            "another secret",
            format!(
                "t={now},v1={}",
                sign("whsec_anotherSecret1", now, body.as_bytes())
            ),
        ),
        (
            "no secret",
            format!("t={now},v1={}", sign("", now, body.as_bytes())),
        ),
        (
            "the same event, written another way",
            format!("t={now},v1={}", v1(now, &event.to_string())),
        ),
        (
            "a byte changed",
            format!(
                "t={now},v1={}",
                v1(now, &body.replace("evt_unsigned", "evt_unsigneD"))
            ),
        ),
        (
            "a line feed added",
            format!("t={now},v1={}", v1(now, &format!("{body}\n"))),
        ),
        (
            "five minutes and a second ago",
            format!("t={},v1={}", now - 302, v1(now - 302, &body)),
        ),
        (
            "in five minutes and more",
            format!("t={},v1={}", now + 330, v1(now + 330, &body)),
        ),
        (
            "ten minutes ago",
            format!("t={},v1={}", now - 600, v1(now - 600, &body)),
        ),
        ("no time", format!("v1={good}")),
        ("a time that is none", format!("t=now,v1={good}")),
        (
            "the earliest time",
            format!("t={},v1={}", i64::MIN, v1(i64::MIN, &body)),
        ),
        (
            "another time than the signed one",
            format!("t={},v1={good}", now + 1),
        ),
        ("two times", format!("t={now},t={},v1={good}", now - 600)),
        (
            "a thousand signatures",
            format!("t={now}{}", format!(",v1={}", "0".repeat(64)).repeat(1_000)),
        ),
        ("half a signature", format!("t={now},v1={}", &good[..32])),
        (
            "a signature in upper case hex of something else",
            format!("t={now},v1={}", "A".repeat(64)),
        ),
        ("no pairs", format!("{now} {good}")),
    ];
    let before = app.db.digest().await;
    assert_eq!(app.deliver(None, body.clone()).await, 400, "no header");
    for (what, header) in &headers {
        assert_eq!(app.deliver(Some(header), body.clone()).await, 400, "{what}");
    }
    // A person's token is no signature.
    let user = wallet_tests::User::new();
    let request = app
        .client()
        .post(format!("{}/wallet/webhook", app.base()))
        .bearer_auth(&user.token)
        .body(body.clone());
    assert_eq!(request.send().await.unwrap().status(), 400);
    assert_eq!(
        app.db.digest().await,
        before,
        "what is not Stripe's is not stored"
    );

    // The right ones, so that the rows above fail for their own reason.
    let takes = [
        ("the platform's", format!("t={now},v1={good}")),
        (
            "a connected account's",
            format!("t={now},v1={}", sign(CONNECT_SECRET, now, body.as_bytes())),
        ),
        (
            "while a secret is rolled",
            format!("t={now},v1={},v1={good}", "0".repeat(64)),
        ),
        ("with another scheme beside", format!("t={now},v1={good},v0=00")),
        (
            "nearly five minutes ago",
            format!("t={},v1={}", now - 290, v1(now - 290, &body)),
        ),
    ];
    for (what, header) in &takes {
        assert_eq!(app.deliver(Some(header), body.clone()).await, 200, "{what}");
    }
    assert_eq!(app.db.count("stripe_events").await, 1);
    app.abandon().await;
}
