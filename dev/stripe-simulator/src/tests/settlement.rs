//! An account that is paid in some currencies only, and accounts under the agreements of their countries.

use super::*;

/// A payment in euros of an account that is paid in dollars: the movement is in dollars and says by which rate
/// (<https://docs.stripe.com/currencies/conversions>, <https://docs.stripe.com/api/balance_transactions/object#balance_transaction_object-exchange_rate>).
#[tokio::test]
async fn a_payment_in_another_currency_comes_to_the_balance_converted() {
    let config = SimulatorConfig {
        settings: Settings {
            settlement_currencies: vec!["usd".to_owned(), "cad".to_owned()],
            ..Settings::default()
        },
        ..SimulatorConfig::default()
    };
    let stripe = Fixture::with(config).await;
    let own = stripe.get("/v1/account").await.ok();
    assert_eq!(own["default_currency"], "usd");
    for (currency, held, net, rate) in [
        ("eur", "usd", 1_080, json!(1.08)),
        ("gbp", "usd", 1_080, json!(1.08)),
        ("cad", "cad", 1_000, Value::Null),
        ("usd", "usd", 1_000, Value::Null),
    ] {
        let form = [
            ("amount", "1000"),
            ("currency", currency),
            ("confirm", "true"),
            ("payment_method", "pm_card_visa"),
            ("payment_method_types[]", "card"),
            ("expand[]", "latest_charge.balance_transaction"),
        ];
        let intent = stripe.post("/v1/payment_intents", &form).await.ok();
        assert_eq!(
            (&intent["amount_received"], &intent["currency"]),
            (&json!(1_000), &json!(currency))
        );
        let movement = &intent["latest_charge"]["balance_transaction"];
        assert_eq!(
            (
                &movement["currency"],
                &movement["net"],
                &movement["exchange_rate"]
            ),
            (&json!(held), &json!(net), &rate),
            "{currency}"
        );
        // What goes back is converted as well.
        let id = intent["id"].as_str().unwrap();
        let form = [("payment_intent", id), ("expand[]", "balance_transaction")];
        let refund = stripe.post("/v1/refunds", &form).await.ok();
        assert_eq!(
            (&refund["amount"], &refund["status"]),
            (&json!(1_000), &json!("succeeded"))
        );
        assert_eq!(
            (
                &refund["balance_transaction"]["currency"],
                &refund["balance_transaction"]["net"]
            ),
            (&json!(held), &json!(-net)),
            "{currency}"
        );
    }
    let balance = stripe.get("/v1/balance").await.ok();
    let held: Vec<&Value> = balance["available"].as_array().unwrap().iter().collect();
    assert!(
        held.iter()
            .all(|held| held["amount"] == 0 && held["currency"] != "eur"),
        "{balance}"
    );
}

/// <https://docs.stripe.com/connect/service-agreement-types>, <https://docs.stripe.com/connect/account-capabilities>
#[tokio::test]
async fn an_account_asks_for_no_more_than_its_agreement_allows() {
    let stripe = Fixture::new().await;
    let full = ("tos_acceptance[service_agreement]", "full");
    let recipient = ("tos_acceptance[service_agreement]", "recipient");
    let transfers = ("capabilities[transfers][requested]", "true");
    let cards = ("capabilities[card_payments][requested]", "true");
    for (country, more, words) in [
        ("US", vec![transfers], None),
        ("US", vec![transfers, cards, full], None),
        (
            "US",
            vec![transfers, recipient],
            Some("not supported for platforms in US creating accounts in US"),
        ),
        (
            "DE",
            vec![transfers],
            Some("without the `card_payments` capability"),
        ),
        (
            "DE",
            vec![transfers, full],
            Some("without the `card_payments` capability"),
        ),
        ("DE", vec![transfers, cards], None),
        (
            "DE",
            vec![transfers, recipient],
            Some("not supported for platforms in US creating accounts in DE"),
        ),
        ("SG", vec![transfers, recipient], None),
        (
            "SG",
            vec![transfers, cards, recipient],
            Some("cannot request the `card_payments` capability"),
        ),
        (
            "SG",
            vec![transfers, ("tos_acceptance[service_agreement]", "none")],
            Some("must be one of full or recipient"),
        ),
    ] {
        let mut form = vec![("type", "express"), ("country", country)];
        form.extend(more);
        let answer = stripe.post("/v1/accounts", &form).await;
        match words {
            None => assert_eq!(answer.ok()["country"], country, "{form:?}"),
            Some(words) => {
                assert_eq!(answer.status, 400, "{form:?}");
                assert!(
                    answer.error("message").contains(words),
                    "{form:?}: {}",
                    answer.body
                );
            }
        }
    }
}
