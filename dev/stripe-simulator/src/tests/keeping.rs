//! A simulator that is ended and started again goes on with what it knew.

use std::path::Path;
use std::time::Instant;

use super::*;

fn keeping(folder: &Path) -> SimulatorConfig {
    SimulatorConfig {
        state_file: Some(folder.join("state.json")),
        opening_balance: vec![("usd".to_owned(), 1_000)],
        ..SimulatorConfig::default()
    }
}

#[tokio::test]
async fn people_cards_accounts_balances_and_the_clock_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let stripe = Fixture::with(keeping(folder.path())).await;
    let customer = stripe
        .post(
            "/v1/customers",
            &[("email", "a@example.com"), ("metadata[user_id]", "u1")],
        )
        .await
        .ok();
    let id = customer["id"].as_str().unwrap().to_owned();
    let card = stripe
        .post("/v1/payment_methods/pm_card_visa/attach", &[("customer", &id)])
        .await
        .ok();
    let declined = stripe
        .post(
            "/v1/payment_methods/pm_card_chargeCustomerFail/attach",
            &[("customer", &id)],
        )
        .await
        .ok();
    let account = stripe.account().await;
    stripe.paid("12345", "pm_card_visa").await;
    let transfer = [
        ("amount", "500"),
        ("currency", "usd"),
        ("destination", account.as_str()),
    ];
    let sent = stripe
        .post_with_key("/v1/transfers", &transfer, "key-1")
        .await
        .ok();
    stripe
        .control("clock", json!({ "advance_seconds": 86_000 }))
        .await;
    let before = stripe.get("/_control/state").await.ok();
    let events = stripe.event_types(None).await;
    stripe.simulator.shutdown().await;

    let stripe = Fixture::with(keeping(folder.path())).await;
    assert_eq!(stripe.get(&format!("/v1/customers/{id}")).await.ok(), customer);
    assert_eq!(stripe.event_types(None).await, events);
    let after = stripe.get("/_control/state").await.ok();
    for field in [
        "customers",
        "payment_methods",
        "accounts",
        "charges",
        "transfers",
        "effects",
        "idempotency_keys",
    ] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert!(
        after["time"].as_str() >= before["time"].as_str(),
        "{after} {before}"
    );
    assert_eq!(
        stripe.available(None).await,
        1_000 + 12_345 - 500,
        "nothing is opened twice"
    );
    assert_eq!(stripe.available(Some(&account)).await, 500);
    let again = stripe
        .post_with_key("/v1/transfers", &transfer, "key-1")
        .await
        .ok();
    assert_eq!(again["id"], sent["id"], "the key is known");
    // The saved card of the same customer pays again, and the one that declines declines still.
    let pay = async |method: &Value| {
        let form = [
            ("amount", "700"),
            ("currency", "usd"),
            ("confirm", "true"),
            ("off_session", "true"),
            ("customer", id.as_str()),
            ("payment_method", method["id"].as_str().unwrap()),
            ("payment_method_types[]", "card"),
        ];
        stripe.post("/v1/payment_intents", &form).await
    };
    assert_eq!(pay(&card).await.ok()["status"], "succeeded");
    assert_eq!(pay(&declined).await.error("code"), "card_declined");
    let effects = stripe.get("/_control/effects").await.ok();
    let numbers = effects
        .as_array()
        .unwrap()
        .iter()
        .map(|effect| effect["seq"].as_u64().unwrap());
    let count = u64::try_from(numbers.len()).unwrap();
    assert!(count > 3 && numbers.eq(1..=count), "they are numbered on");
    stripe.simulator.shutdown().await;
}

#[tokio::test]
async fn what_was_answered_is_kept_however_the_simulator_ends() {
    let folder = tempfile::tempdir().unwrap();
    let killed = Fixture::with(keeping(folder.path())).await;
    for n in 0..20 {
        let made = killed
            .post("/v1/customers", &[("email", "a@example.com")])
            .await
            .ok();
        // What another process would find if this one were gone now.
        let copy = folder.path().join(format!("copy-{n}.json"));
        std::fs::copy(folder.path().join("state.json"), &copy).unwrap();
        let next = Fixture::with(SimulatorConfig {
            state_file: Some(copy),
            ..SimulatorConfig::default()
        })
        .await;
        let path = format!("/v1/customers/{}", made["id"].as_str().unwrap());
        assert_eq!(next.get(&path).await.ok()["id"], made["id"]);
        next.simulator.shutdown().await;
    }
    killed.simulator.shutdown().await;
}

#[tokio::test]
async fn what_was_under_way_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = keeping(folder.path());
    config.settings.bank_debit_ms = 60_000;
    // Nobody listens there.
    let target = json!({ "url": "http://127.0.0.1:9/wallet/webhook", "platform_secret": "whsec_platform" });
    let stripe = Fixture::with(config.clone()).await;
    stripe.control("webhook", target.clone()).await;
    let form = [
        ("amount", "5000"),
        ("currency", "usd"),
        ("confirm", "true"),
        ("payment_method", "pm_usBankAccount_success"),
        ("payment_method_types[]", "us_bank_account"),
        ("mandate_data[customer_acceptance][type]", "offline"),
    ];
    let intent = stripe.post("/v1/payment_intents", &form).await.ok();
    assert_eq!(intent["status"], "processing");
    let undelivered = stripe.get("/_control/state").await.ok()["undelivered_events"].clone();
    assert_ne!(undelivered, 0);
    let attempts = async |stripe: &Fixture| {
        stripe
            .get("/_control/deliveries")
            .await
            .ok()
            .as_array()
            .unwrap()
            .len()
    };
    let before = attempts(&stripe).await;
    stripe.simulator.shutdown().await;

    let stripe = Fixture::with(config).await;
    // They are due before the endpoint is named again.
    stripe.control("clock", json!({ "advance_seconds": 30 })).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    stripe.control("webhook", target).await;
    assert_eq!(
        stripe.get("/_control/state").await.ok()["undelivered_events"],
        undelivered
    );
    let begun = Instant::now();
    while attempts(&stripe).await <= before {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "its webhooks are sent again"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stripe.control("clock", json!({ "advance_seconds": 61 })).await;
    let path = format!("/v1/payment_intents/{}", intent["id"].as_str().unwrap());
    stripe.until(None, &path, "status", "succeeded").await;
    stripe.simulator.shutdown().await;
}

#[tokio::test]
async fn a_state_that_cannot_be_read_is_refused_with_the_command_that_forgets_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.json");
    for text in [
        "",
        "{",
        r#"{"version": 0, "state": {}}"#,
        r#"{"version": 1, "state": {}}"#,
    ] {
        std::fs::write(&file, text).unwrap();
        let refused = start(keeping(folder.path())).await.unwrap_err();
        assert!(
            format!("{refused:#}").contains("remove it"),
            "{text}: {refused:#}"
        );
        let config = SimulatorConfig {
            state_remedy: "`wallet-dev forget` forgets it".to_owned(),
            ..keeping(folder.path())
        };
        let refused = start(config).await.unwrap_err();
        assert!(
            format!("{refused:#}").contains("wallet-dev forget"),
            "{text}: {refused:#}"
        );
    }
    assert!(super::super::forget(&file).unwrap());
    assert!(!super::super::forget(&file).unwrap());
    start(keeping(folder.path())).await.unwrap().shutdown().await;
}
