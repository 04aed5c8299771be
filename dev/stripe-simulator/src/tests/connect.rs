//! Connected accounts, transfers, reversals and payouts.

use super::*;

/// <https://docs.stripe.com/connect/hosted-onboarding>
#[tokio::test]
async fn an_account_opens_when_the_payee_has_followed_its_link() {
    let stripe = Fixture::new().await;
    let account = stripe
        .post(
            "/v1/accounts",
            &[("type", "express"), ("metadata[user_id]", "u1")],
        )
        .await
        .ok();
    let id = account["id"].as_str().unwrap();
    assert_eq!(account["payouts_enabled"], false);
    let form = [
        ("account", id),
        ("type", "account_onboarding"),
        ("return_url", "http://127.0.0.1:1/back"),
        ("refresh_url", "http://127.0.0.1:1/again"),
    ];
    let link = stripe.post("/v1/account_links", &form).await.ok();
    let browser = Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let page = browser.get(link["url"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(page.headers()["location"], "http://127.0.0.1:1/back");
    let open = stripe.get(&format!("/v1/accounts/{id}")).await.ok();
    assert_eq!(
        (&open["payouts_enabled"], &open["metadata"]["user_id"]),
        (&json!(true), &json!("u1"))
    );
    let events = stripe.get_as(id, "/v1/events").await.ok();
    assert_eq!(events["data"][0]["type"], "account.updated");
    assert_eq!(events["data"][0]["account"], id);
    assert_eq!(
        events["data"][0]["data"]["previous_attributes"]["payouts_enabled"],
        false
    );
}

/// <https://docs.stripe.com/error-codes#account-invalid>
#[tokio::test]
async fn an_unknown_account_is_a_403() {
    let stripe = Fixture::new().await;
    let refused = stripe.get("/v1/accounts/acct_none").await;
    assert_eq!(
        (refused.status.as_u16(), refused.error("code")),
        (403, "account_invalid")
    );
    assert_eq!(stripe.get_as("acct_none", "/v1/balance").await.status, 403);
}

/// <https://docs.stripe.com/connect/separate-charges-and-transfers>
#[tokio::test]
async fn a_transfer_needs_available_money_and_moves_it() {
    let stripe = Fixture::new().await;
    let account = stripe.account().await;
    let form = [
        ("amount", "4000"),
        ("currency", "usd"),
        ("destination", account.as_str()),
        ("transfer_group", "t1"),
        ("metadata[transaction_id]", "t1"),
    ];
    let refused = stripe.post("/v1/transfers", &form).await;
    assert_eq!(
        (refused.status.as_u16(), refused.error("code")),
        (400, "balance_insufficient")
    );
    stripe
        .control("balance/top_up", json!({ "amount": 10_000 }))
        .await;
    let transfer = stripe.post("/v1/transfers", &form).await.ok();
    assert_eq!(
        (
            stripe.available(None).await,
            stripe.available(Some(&account)).await
        ),
        (6_000, 4_000)
    );
    let listed = stripe.get("/v1/transfers?transfer_group=t1").await.ok();
    assert_eq!(listed["data"][0]["id"], transfer["id"]);
    let effects = stripe.effects("transfer.create").await;
    assert_eq!((effects.len(), &effects[0]["transaction_id"]), (1, &json!("t1")));
    assert_eq!(
        stripe
            .post(
                "/v1/transfers",
                &[("amount", "1"), ("currency", "usd"), ("destination", "acct_x")]
            )
            .await
            .status,
        400
    );
}

/// <https://docs.stripe.com/api/transfer_reversals/create>, <https://docs.stripe.com/connect/pending-transfer-reversals>
#[tokio::test]
async fn a_reversal_is_bounded_by_the_transfer_and_by_the_destination_s_money() {
    let stripe = Fixture::new().await;
    let account = stripe.account().await;
    stripe.control("balance/top_up", json!({ "amount": 4_000 })).await;
    let form = [
        ("amount", "4000"),
        ("currency", "usd"),
        ("destination", account.as_str()),
    ];
    let transfer = stripe.post("/v1/transfers", &form).await.ok();
    let path = format!("/v1/transfers/{}/reversals", transfer["id"].as_str().unwrap());
    stripe.post(&path, &[("amount", "1500")]).await.ok();
    assert_eq!(stripe.post(&path, &[("amount", "2501")]).await.status, 400);
    stripe
        .post_as(
            &account,
            "/v1/payouts",
            &[("amount", "2500"), ("currency", "usd")],
        )
        .await
        .ok();
    assert_eq!(
        stripe.post(&path, &[]).await.error("code"),
        "balance_insufficient"
    );
    let read = stripe
        .get(&format!("/v1/transfers/{}", transfer["id"].as_str().unwrap()))
        .await
        .ok();
    assert_eq!(
        (&read["amount_reversed"], &read["reversed"]),
        (&json!(1_500), &json!(false))
    );
    assert_eq!(read["reversals"]["data"].as_array().unwrap().len(), 1);
    assert_eq!(stripe.available(None).await, 1_500);
}

/// An account with 5,000 cents.
async fn funded(stripe: &Fixture) -> String {
    let account = stripe.account().await;
    stripe
        .control("balance/top_up", json!({ "amount": 5_000, "account": account }))
        .await;
    account
}

/// <https://docs.stripe.com/api/payouts/object#payout_object-status>
#[tokio::test]
async fn a_payout_goes_its_way_by_itself() {
    let stripe = Fixture::new().await;
    let account = funded(&stripe).await;
    let too_much = stripe
        .post_as(
            &account,
            "/v1/payouts",
            &[("amount", "5001"), ("currency", "usd")],
        )
        .await;
    assert_eq!(too_much.error("code"), "balance_insufficient");
    let payout = stripe
        .post_as(
            &account,
            "/v1/payouts",
            &[("amount", "3000"), ("currency", "usd")],
        )
        .await
        .ok();
    assert_eq!(
        (&payout["status"], stripe.available(Some(&account)).await),
        (&json!("pending"), 2_000)
    );
    let path = format!("/v1/payouts/{}", payout["id"].as_str().unwrap());
    assert_eq!(
        stripe.get(&path).await.status,
        404,
        "the platform does not own it"
    );
    stripe.until(Some(&account), &path, "status", "paid").await;
    let events = stripe.event_types(Some(&account)).await;
    assert_eq!(events, ["payout.created", "payout.updated", "payout.paid"]);
}

/// <https://docs.stripe.com/api/payouts/object#payout_object-status>, <https://docs.stripe.com/api/payouts/object#payout_object-failure_balance_transaction>
#[tokio::test]
async fn a_paid_payout_can_fail_and_its_money_comes_back_once() {
    let stripe = Fixture::new().await;
    stripe
        .control("settings", json!({ "payout_mode": "manual" }))
        .await;
    let account = funded(&stripe).await;
    let payout = stripe
        .post_as(
            &account,
            "/v1/payouts",
            &[("amount", "3000"), ("currency", "usd")],
        )
        .await
        .ok();
    let id = payout["id"].as_str().unwrap();
    stripe
        .control(&format!("payouts/{id}"), json!({ "status": "paid" }))
        .await;
    let failed = stripe
        .control(
            &format!("payouts/{id}"),
            json!({ "status": "failed", "failure_code": "account_closed" }),
        )
        .await;
    assert_eq!(failed["failure_code"], "account_closed");
    let back = failed["failure_balance_transaction"].as_str().unwrap();
    let transaction = stripe
        .get_as(&account, &format!("/v1/balance_transactions/{back}"))
        .await
        .ok();
    assert_eq!(
        (&transaction["type"], &transaction["net"]),
        (&json!("payout_failure"), &json!(3_000))
    );
    assert_eq!(stripe.available(Some(&account)).await, 5_000);
    let again = stripe
        .request(Method::POST, &format!("/_control/payouts/{id}"))
        .json(&json!({ "status": "failed" }));
    assert_eq!(stripe.send(again).await.status, 400);
    let refused = stripe
        .post_as(&account, "/v1/payouts", &[("amount", "1"), ("currency", "usd")])
        .await;
    assert_eq!(
        refused.error("code"),
        "bank_account_unusable",
        "the bank account is disabled after the failure"
    );
}

/// <https://docs.stripe.com/connect/testing>
#[tokio::test]
async fn a_payout_to_a_failing_test_account_fails_by_itself() {
    let stripe = Fixture::new().await;
    let account = funded(&stripe).await;
    let form = [
        ("external_account[object]", "bank_account"),
        ("external_account[country]", "US"),
        ("external_account[currency]", "usd"),
        ("external_account[account_number]", "000111111116"),
        ("external_account[routing_number]", "110000000"),
    ];
    let bank = stripe
        .post(&format!("/v1/accounts/{account}/external_accounts"), &form)
        .await
        .ok();
    let form = [
        ("amount", "3000"),
        ("currency", "usd"),
        ("destination", bank["id"].as_str().unwrap()),
    ];
    let payout = stripe.post_as(&account, "/v1/payouts", &form).await.ok();
    let path = format!("/v1/payouts/{}", payout["id"].as_str().unwrap());
    let failed = stripe.until(Some(&account), &path, "status", "failed").await;
    assert_eq!(failed["failure_code"], "no_account");
}

/// <https://docs.stripe.com/api/payouts/cancel>
#[tokio::test]
async fn only_a_pending_payout_can_be_cancelled() {
    let stripe = Fixture::new().await;
    stripe
        .control("settings", json!({ "payout_mode": "manual" }))
        .await;
    let account = funded(&stripe).await;
    for (moved, status) in [(false, 200), (true, 400)] {
        let payout = stripe
            .post_as(
                &account,
                "/v1/payouts",
                &[("amount", "3000"), ("currency", "usd")],
            )
            .await
            .ok();
        let id = payout["id"].as_str().unwrap();
        if moved {
            stripe
                .control(&format!("payouts/{id}"), json!({ "status": "in_transit" }))
                .await;
        }
        assert_eq!(
            stripe
                .post_as(&account, &format!("/v1/payouts/{id}/cancel"), &[])
                .await
                .status,
            status
        );
    }
    assert_eq!(stripe.available(Some(&account)).await, 2_000);
}

/// <https://docs.stripe.com/connect/account-capabilities>, <https://docs.stripe.com/error-codes>
#[tokio::test]
async fn payouts_disabled_or_without_a_bank_account_are_refused() {
    let stripe = Fixture::new().await;
    let account = funded(&stripe).await;
    for change in [
        json!({ "payouts_enabled": false }),
        json!({ "payouts_enabled": true, "external_account": false }),
    ] {
        stripe.control(&format!("accounts/{account}"), change).await;
        let refused = stripe
            .post_as(&account, "/v1/payouts", &[("amount", "1"), ("currency", "usd")])
            .await;
        assert_eq!(
            (refused.status.as_u16(), refused.error("code")),
            (400, "payouts_not_allowed")
        );
    }
}

/// <https://docs.stripe.com/api/transfers/create#create_transfer-source_transaction>
#[tokio::test]
async fn a_transfer_from_a_pending_charge_waits_with_the_charge_and_is_bounded_by_it() {
    let stripe = Fixture::new().await;
    stripe
        .control("settings", json!({ "card_pending_ms": 86_400_000 }))
        .await;
    let account = stripe.account().await;
    let intent = stripe.paid("5000", "pm_card_visa").await;
    let transfer = |amount: &'static str| {
        let charge = intent["latest_charge"].as_str().unwrap().to_owned();
        let (stripe, account) = (&stripe, account.clone());
        async move {
            let form = [
                ("amount", amount),
                ("currency", "usd"),
                ("destination", account.as_str()),
                ("source_transaction", charge.as_str()),
            ];
            stripe.post("/v1/transfers", &form).await
        }
    };
    transfer("4000").await.ok();
    assert_eq!(transfer("1001").await.status, 400);
    assert_eq!(stripe.available(Some(&account)).await, 0);
    stripe
        .control("clock", json!({ "advance_seconds": 86_401 }))
        .await;
    assert_eq!(
        (
            stripe.available(None).await,
            stripe.available(Some(&account)).await
        ),
        (1_000, 4_000)
    );
}
