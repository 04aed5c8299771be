//! Fee rules as an operator sets them.

use serde_json::json;
use wallet_tests::TestApp;
use wallet_tests::programs::{Ended, run};

async fn fees(app: &TestApp, args: &[&str]) -> Ended {
    let args: Vec<&str> = std::iter::once("fees").chain(args.iter().copied()).collect();
    run("wallet-worker", &args, &app.variables).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_lists_sets_and_removes_fee_rules_and_the_next_payment_follows() {
    let app = TestApp::with_workers(0).await;
    let (tenant, from) = app.owner(100_000).await;
    let (landlord, to) = app.owner(0).await;
    let user = landlord.id.to_string();
    let fee_of_100 = async || {
        let input = json!({ "toWalletId": to, "amount": "100.00" });
        app.pay(&tenant, &from, input).await.data()["fee"].clone()
    };
    let done = async |args: &[&str]| {
        let ended = fees(&app, args).await;
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}");
        ended.out
    };
    assert_eq!(done(&["list"]).await, "all payments: 1 %\n1 rule\n");
    assert_eq!(fee_of_100().await, "1.00");
    let set = done(&[
        "set",
        "250",
        "--currency",
        "USD",
        "--minimum",
        "0.30",
        "--maximum",
        "2.00",
    ])
    .await;
    assert_eq!(
        set,
        "payments in usd: 2.5 %, at least 0.30 usd, at most 2.00 usd\n\
         payments of 0.30 usd or less are refused from now on: the fee would leave the payee nothing\n"
    );
    assert_eq!(fee_of_100().await, "2.00");
    done(&["set", "50", "--currency", "usd", "--payee", &user]).await;
    assert_eq!(fee_of_100().await, "0.50");
    done(&["set", "0", "--currency", "usd", "--payee", &user]).await;
    assert_eq!(fee_of_100().await, "0.00");
    let listed = done(&["list"]).await;
    assert!(
        listed.contains(&format!("payments in usd to {user}: 0 %\n")),
        "{listed}"
    );
    assert!(listed.ends_with("3 rules\n"), "one was replaced: {listed}");
    done(&["remove", "--currency", "usd", "--payee", &user]).await;
    done(&["remove", "--currency", "usd"]).await;
    assert_eq!(fee_of_100().await, "1.00");
    done(&["remove"]).await;
    assert_eq!(fee_of_100().await, "0.00");
    assert!(done(&["list"]).await.contains("keeps nothing"));
    let audited = "audit_log WHERE actor LIKE 'operator:%' AND action IN ('set_fee_rule', 'remove_fee_rule')";
    assert_eq!(app.db.count(audited).await, 6);
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fee_rule_that_cannot_be_meant_is_refused_with_its_reason() {
    let app = TestApp::with_workers(0).await;
    let before = app.db.digest().await;
    for (args, told) in [
        (&["set", "10000"] as &[&str], "0..=5000"),
        (&["set", "5001"], "0..=5000"),
        (&["set", "-1"], "unexpected argument"),
        (&["set", "one"], "invalid"),
        (&["set", "100", "--currency", "kwd"], "not supported"),
        (
            &["set", "100", "--payee", "018f2f5e-7b3c-7000-8000-000000000003"],
            "needs a currency",
        ),
        (
            &["set", "100", "--currency", "usd", "--payee", "me"],
            "not a valid user id",
        ),
        (&["set", "100", "--minimum", "1"], "needs a currency"),
        (
            &["set", "100", "--currency", "jpy", "--minimum", "0.5"],
            "no amount of the currency",
        ),
        (&["set", "100", "--currency", "usd", "--minimum=-1"], "below zero"),
        (
            &[
                "set",
                "100",
                "--currency",
                "usd",
                "--minimum",
                "2",
                "--maximum",
                "1",
            ],
            "above the maximum",
        ),
        (&["remove", "--currency", "usd"], "no rule for payments in usd"),
        (&["change"], "unrecognized subcommand"),
    ] {
        let ended = fees(&app, args).await;
        assert!(
            matches!(ended.code, Some(1 | 2)) && ended.err.contains(told),
            "{args:?}: {ended:?}"
        );
    }
    for args in [&["--help"] as &[&str], &["set", "--help"]] {
        let help = fees(&app, args).await;
        assert!(help.code == Some(0) && help.out.contains("Usage: "), "{help:?}");
    }
    assert_eq!(app.db.digest().await, before);
    app.finish().await;
}
