//! Onboarding to payouts: one account each, a page to complete it, and what is refused before Stripe pays out.

use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::json;
use wallet_tests::app::{id_of, uuid};
use wallet_tests::{Answer, TestApp, User};

async fn onboard(app: &TestApp, user: &User, wallet: &str) -> Answer {
    let query = "mutation($w: String!, $i: OnboardPayoutsInput!) {
        onboardPayouts(walletId: $w, input: $i) { stripeAccountId url payoutsEnabled } }";
    let input =
        json!({ "returnUrl": "http://localhost:3000/back", "refreshUrl": "https://example.com/again" });
    app.gql(user, query, json!({ "w": wallet, "i": input })).await
}

async fn accounts_of(app: &TestApp, user: &User) -> Vec<Option<String>> {
    let rows = app
        .db
        .rows(
            "SELECT stripe_account_id FROM wallets WHERE user_id = $1 ORDER BY id",
            &[&user.id],
        )
        .await;
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_gets_one_account_for_all_wallets_and_withdraws_once_stripe_pays_it_out() {
    let app = TestApp::with_workers(0).await;
    let (landlord, wallet) = app.owner(10_000).await;
    let second = app.wallet(&landlord, json!({ "currency": "eur" })).await;
    let (_, strangers) = app.owner(0).await;
    let first = onboard(&app, &landlord, &wallet).await.data();
    let account = first["stripeAccountId"].as_str().unwrap();
    assert_eq!(first["payoutsEnabled"], false);
    assert!(first["url"].as_str().unwrap().contains(account), "{first}");
    assert_eq!(
        accounts_of(&app, &landlord).await,
        [Some(account.to_owned()), Some(account.to_owned())]
    );
    let of_stranger = "SELECT stripe_account_id FROM wallets WHERE id = $1";
    assert_eq!(
        app.db
            .value::<Option<String>>(of_stranger, &[&uuid(&strangers)])
            .await,
        None
    );
    let at_stripe = app.stripe.get(&format!("/v1/accounts/{account}")).await;
    assert_eq!(
        (
            &at_stripe["type"],
            &at_stripe["metadata"]["user_id"],
            &at_stripe["settings"]["payouts"]["schedule"]["interval"]
        ),
        (&json!("express"), &json!(landlord.id), &json!("manual"))
    );

    let before = app.db.digest().await;
    let refused = app
        .withdraw(&landlord, &wallet, json!({ "amount": "10.00" }))
        .await;
    assert_eq!(refused.code(), Some("INVALID_STATE"));
    assert!(
        refused.message().contains("onboardPayouts"),
        "{}",
        refused.message()
    );
    assert_eq!(app.db.digest().await, before, "a refusal stores nothing");

    // Again, from another wallet, and many times at once: the same account.
    let many = join_all([&wallet, &second, &wallet].map(|wallet| onboard(&app, &landlord, wallet))).await;
    for again in many {
        assert_eq!(again.data()["stripeAccountId"], account);
    }
    assert_eq!(app.stripe.effects("account.create").await.len(), 1);

    app.stripe
        .control(&format!("accounts/{account}"), json!({ "onboard": true }))
        .await;
    let done = onboard(&app, &landlord, &wallet).await.data();
    assert_eq!(done["payoutsEnabled"], true);
    let accepted = app
        .withdraw(&landlord, &wallet, json!({ "amount": "10.00" }))
        .await
        .data();
    assert_eq!(accepted["status"], "PENDING");
    assert_eq!(
        app.db.count("audit_log WHERE action = 'onboard_payouts'").await,
        5
    );
    let stored: String = app
        .db
        .value("SELECT string_agg(detail::text, '') FROM audit_log", &[])
        .await;
    assert!(!stored.contains("_setup"), "the page's address is nowhere stored");
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_again_after_any_failure_of_stripe_brings_the_same_account() {
    for (operation, outcome) in [
        ("accounts.create", "drop_before"),
        ("accounts.create", "drop_after"),
        ("accounts.create", "error_500_after_effect"),
        ("accounts.create", "error_503"),
        ("accounts.create", "rate_limit"),
        ("account_links.create", "drop_after"),
        ("account_links.create", "error_500"),
    ] {
        let app = TestApp::with_workers(0).await;
        let (landlord, wallet) = app.owner(0).await;
        app.stripe
            .fault(json!({ "operation": operation, "nth": 1, "outcome": outcome }))
            .await;
        let failed = onboard(&app, &landlord, &wallet).await;
        assert_eq!(
            failed.code(),
            Some("SERVICE_UNAVAILABLE"),
            "{operation} {outcome}"
        );
        // It takes no idempotency key.
        let words = "the service is not available at the moment; try again";
        assert_eq!(failed.message(), words, "{operation} {outcome}");
        app.stripe.clear_faults().await;
        let mut last = onboard(&app, &landlord, &wallet).await;
        // A stored 500 is all its key says for a while; then the account is made anew.
        for _ in 0..3 {
            if last.code().is_some() {
                assert_eq!(last.code(), Some("SERVICE_UNAVAILABLE"), "{operation} {outcome}");
                // Not earlier than the answer of a paused lane says.
                app.advance(TimeDelta::seconds(2)).await;
                last = onboard(&app, &landlord, &wallet).await;
            }
        }
        let account = last.data()["stripeAccountId"].clone();
        assert_eq!(
            accounts_of(&app, &landlord).await,
            [account.as_str().map(str::to_owned)]
        );
        let made = app.stripe.effects("account.create").await.len();
        let stored_failure = outcome == "error_500_after_effect";
        assert_eq!(made, if stored_failure { 2 } else { 1 }, "{operation} {outcome}");
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stripe_that_takes_too_long_is_not_waited_for_and_calls_that_are_paused_say_for_how_long() {
    let app = TestApp::with_workers(0).await;
    let (landlord, wallet) = app.owner(0).await;
    app.stripe
        .fault(json!({ "operation": "accounts.create", "nth": 1, "times": 2, "answer_delay_ms": 11_000 }))
        .await;
    let begun = std::time::Instant::now();
    let slow = onboard(&app, &landlord, &wallet).await;
    assert_eq!(slow.code(), Some("SERVICE_UNAVAILABLE"));
    assert!(
        (9..11).contains(&begun.elapsed().as_secs()),
        "{:?}",
        begun.elapsed()
    );
    app.stripe.clear_faults().await;
    // What was begun goes on behind the answer.
    let account = wallet_tests::until("the account", async || {
        onboard(&app, &landlord, &wallet).await.body["data"]["onboardPayouts"]["stripeAccountId"]
            .as_str()
            .map(str::to_owned)
    })
    .await;
    assert_eq!(app.stripe.effects("account.create").await.len(), 1);
    assert_eq!(accounts_of(&app, &landlord).await, [Some(account)]);

    app.stripe.fault(json!({ "outcome": "error_503" })).await;
    let mut last = onboard(&app, &landlord, &wallet).await;
    for _ in 0..10 {
        last = onboard(&app, &landlord, &wallet).await;
    }
    assert_eq!(last.code(), Some("SERVICE_UNAVAILABLE"));
    let seconds = last.body["errors"][0]["extensions"]["retryAfter"].as_u64();
    assert!(
        seconds.is_some_and(|seconds| (1..=6).contains(&seconds)),
        "{last:?}"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_a_wallet_names_is_opened_to_its_own_person_only() {
    let app = TestApp::with_workers(0).await;
    let (landlord, thief) = (User::new(), User::new());
    let own = app.stripe.account(landlord.id).await;
    let wallet = app.wallet(&landlord, json!({ "stripeAccountId": own })).await;
    let opened = onboard(&app, &landlord, &wallet).await.data();
    assert_eq!(
        (&opened["stripeAccountId"], &opened["payoutsEnabled"]),
        (&json!(own), &json!(true))
    );
    assert_eq!(
        app.stripe.effects("account.create").await.len(),
        1,
        "none was made"
    );

    // Who else may name it is in `payout_accounts`.
    let theirs = app.wallet(&thief, json!({})).await;
    let opened = onboard(&app, &thief, &theirs).await.data();
    assert_ne!(opened["stripeAccountId"], json!(own), "an account of their own");
    assert_eq!(app.stripe.effects("account_link.create").await.len(), 2);
    assert_eq!(app.db.count("stripe_accounts").await, 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn less_than_stripe_pays_out_is_not_withdrawn() {
    let app = TestApp::with_workers(0).await;
    for (currency, too_little, least) in [
        ("eur", "0.99", "1.00"),
        ("czk", "29.99", "30.00"),
        ("huf", "359", "360"),
        ("usd", "0.001", "0.01"),
    ] {
        let user = User::new();
        let account = json!({ "user_id": user.id, "currency": currency });
        let account = id_of(&app.stripe.control("accounts", account).await);
        let input = json!({ "currency": currency, "stripeAccountId": account });
        let wallet = app.wallet(&user, input).await;
        app.plant_unbacked(&wallet, 100_000).await;
        let before = app.db.digest().await;
        let refused = app
            .withdraw(&user, &wallet, json!({ "amount": too_little }))
            .await;
        assert_eq!(
            (refused.code(), refused.field()),
            (Some("VALIDATION_ERROR"), Some("amount")),
            "{too_little} {currency}"
        );
        assert_eq!(app.db.digest().await, before);
        let _ = app
            .withdraw(&user, &wallet, json!({ "amount": least }))
            .await
            .data();
    }
    app.abandon().await;
}

/// Opens an account of a person in `country`, and returns the answer.
async fn onboard_in(app: &TestApp, user: &User, wallet: &str, country: &str) -> Answer {
    let query = "mutation($w: String!, $i: OnboardPayoutsInput!) { onboardPayouts(walletId: $w, input: $i) { stripeAccountId } }";
    let input = json!({ "returnUrl": "https://example.com/back", "refreshUrl": "https://example.com/again", "country": country });
    app.gql(user, query, json!({ "w": wallet, "i": input })).await
}

/// The simulator refuses what Stripe does: the recipient agreement within the platform's country, `card_payments` under it, and `transfers`
/// alone elsewhere (<https://docs.stripe.com/connect/service-agreement-types>, <https://docs.stripe.com/connect/account-capabilities>).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_opened_in_the_country_of_its_person_under_what_stripe_demands_there() {
    for (platform, payee, opened) in [
        ("US", None, "US"),
        ("US", Some("sg"), "SG"),
        ("US", Some("DE"), "DE"),
        ("DE", None, "DE"),
        ("DE", Some("FR"), "FR"),
        ("DE", Some("GB"), "GB"),
    ] {
        let app = TestApp::with_workers(0).await;
        app.stripe.settings(json!({ "platform_country": platform })).await;
        let (landlord, wallet) = app.owner(0).await;
        let answer = match payee {
            Some(country) => onboard_in(&app, &landlord, &wallet, country).await,
            None => onboard(&app, &landlord, &wallet).await,
        };
        let data = answer.data();
        let account = data["stripeAccountId"].as_str().unwrap();
        let account = app.stripe.get(&format!("/v1/accounts/{account}")).await;
        assert_eq!(account["country"], opened, "{platform} {payee:?}");
        app.finish().await;
    }
    let app = TestApp::with_workers(0).await;
    let (landlord, wallet) = app.owner(0).await;
    for wrong in ["", "USA", "1", "Germany"] {
        let refused = onboard_in(&app, &landlord, &wallet, wrong).await;
        assert_eq!(
            (refused.code(), refused.field()),
            (Some("VALIDATION_ERROR"), Some("country")),
            "{wrong:?}"
        );
    }
    assert!(app.stripe.effects("account.create").await.is_empty());
    app.finish().await;
}

/// What Stripe refuses because of a person's own wallet and country is that person's to fix, and raises no alarm.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_country_that_is_not_paid_in_the_wallet_s_currency_is_told_to_its_person_alone() {
    let app = TestApp::with_workers(0).await;
    for (currency, country) in [("jpy", "US"), ("eur", "MX"), ("usd", "JP")] {
        let landlord = User::new();
        let wallet = app.wallet(&landlord, json!({ "currency": currency })).await;
        let refused = onboard_in(&app, &landlord, &wallet, country).await;
        assert_eq!(
            (refused.code(), refused.field()),
            (Some("VALIDATION_ERROR"), Some("country")),
            "{refused:?}"
        );
        assert!(refused.message().contains(currency), "{refused:?}");
    }
    assert_eq!(app.alarms().await, Vec::<String>::new());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_country_than_the_account_s_is_refused_and_changes_nothing() {
    let app = TestApp::with_workers(0).await;
    let (landlord, wallet) = app.owner(0).await;
    let opened = onboard_in(&app, &landlord, &wallet, "US").await.data();
    let second = app.wallet(&landlord, json!({ "currency": "eur" })).await;
    let before = app.db.digest().await;
    for wallet in [&wallet, &second] {
        let refused = onboard_in(&app, &landlord, wallet, "DE").await;
        assert_eq!(
            (refused.code(), refused.field()),
            (Some("VALIDATION_ERROR"), Some("country")),
            "{refused:?}"
        );
        assert!(
            refused.message().contains("is US for your payout account"),
            "{refused:?}"
        );
    }
    assert_eq!(app.db.digest().await, before);
    let again = onboard_in(&app, &landlord, &second, "us").await.data();
    assert_eq!(again["stripeAccountId"], opened["stripeAccountId"]);
    app.finish().await;
}

/// What is sent for a new account is the same for everybody: a refusal is the platform's, and an operator has to fix it at Stripe
/// (<https://docs.stripe.com/connect/platform-controls>, "Your platform needs approval").
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_platform_for_which_stripe_opens_no_accounts_is_told_to_an_operator_until_it_does() {
    const TOLD: &str = "alarms WHERE kind = 'onboarding_refused' AND closed_at IS NULL";
    for outcome in ["error_400", "error_403"] {
        let app = TestApp::with_workers(0).await;
        app.stripe
            .fault(json!({ "operation": "accounts.create", "outcome": outcome }))
            .await;
        for _ in 0..2 {
            let (landlord, wallet) = app.owner(0).await;
            let refused = onboard(&app, &landlord, &wallet).await;
            assert_eq!(refused.code(), Some("INVALID_STATE"), "{outcome}: {refused:?}");
            assert!(refused.message().contains("support has been told"), "{refused:?}");
        }
        assert_eq!(app.db.count(TOLD).await, 1, "{outcome}");
        app.stripe.clear_faults().await;
        let (landlord, wallet) = app.owner(0).await;
        assert_eq!(onboard(&app, &landlord, &wallet).await.code(), None, "{outcome}");
        assert_eq!(app.db.count(TOLD).await, 0, "{outcome}");
        app.abandon().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wallet_in_a_currency_for_which_its_account_has_no_bank_is_refused_before_anything_is_sent() {
    let app = TestApp::start().await;
    let (alice, dollars) = app.payee(1_000).await;
    let account = app.account_of(&dollars).await;
    for (currency, country, number) in [("eur", "DE", "DE89370400440532013000"), ("gbp", "GB", "00012345")] {
        let wallet = app
            .wallet(
                &alice,
                json!({ "currency": currency, "stripeAccountId": account }),
            )
            .await;
        app.plant(&wallet, 2_000).await;
        // What Stripe has told of the account so far is a job of its own.
        app.at_rest().await;
        let before = app.db.digest().await;
        let refused = app.withdraw(&alice, &wallet, json!({ "amount": "20.00" })).await;
        assert_eq!(refused.code(), Some("INVALID_STATE"), "{currency}");
        let fix = format!("has no bank account in {currency}; add one on the page of onboardPayouts");
        assert!(refused.message().contains(&fix), "{refused:?}");
        assert_eq!(app.db.digest().await, before, "a refusal stores nothing");
        // The worker looks again, before the transfer: the account may have lost its bank meanwhile, or never told.
        app.db
            .execute("UPDATE stripe_accounts SET bank_currencies = NULL", &[])
            .await;
        let taken = app.withdraw(&alice, &wallet, json!({ "amount": "20.00" })).await;
        let failed = app.failed(&alice, taken.data()["id"].as_str().unwrap()).await;
        let reason = failed["failureReason"].as_str().unwrap();
        assert!(
            reason.starts_with("PAYOUT_ACCOUNT_REFUSED: ") && reason.contains("no bank account in"),
            "{reason}"
        );
        let sent = app.stripe.effects("transfer.create").await;
        assert!(sent.iter().all(|sent| sent["currency"] != currency), "{sent:?}");
        assert_eq!(app.balances(&alice, &wallet).await, (2_000, 0));
        // With a bank account of that currency it is paid.
        let bank = [
            ("external_account[object]", "bank_account"),
            ("external_account[country]", country),
            ("external_account[currency]", currency),
            ("external_account[account_number]", number),
        ];
        app.stripe
            .form(&format!("/v1/accounts/{account}/external_accounts"), &bank)
            .await;
        let told = "SELECT $2 = ANY(bank_currencies) FROM stripe_accounts WHERE stripe_account_id = $1";
        wallet_tests::eventually("Stripe to tell of the bank account", async || {
            app.db.value::<Option<bool>>(told, &[&account, &currency]).await == Some(true)
        })
        .await;
        let paid = app.withdraw(&alice, &wallet, json!({ "amount": "20.00" })).await;
        app.completed(&alice, paid.data()["id"].as_str().unwrap()).await;
    }
    app.finish().await;
}

/// The event that reports it was lost: a request is not refused because of what was reported before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stripe_is_asked_again_before_a_withdrawal_is_refused_for_what_its_account_was() {
    let app = TestApp::with_workers(0).await;
    let (landlord, wallet) = app.owner(10_000).await;
    let opened = onboard(&app, &landlord, &wallet).await.data();
    let account = opened["stripeAccountId"].as_str().unwrap();
    app.stripe.webhook_fault(json!({ "drop": true })).await;
    let wanted = json!({ "amount": "10.00" });
    let refused = app.withdraw(&landlord, &wallet, wanted.clone()).await;
    assert_eq!(refused.code(), Some("INVALID_STATE"), "{}", refused.message());
    app.stripe
        .control(&format!("accounts/{account}"), json!({ "onboard": true }))
        .await;
    let accepted = app.withdraw(&landlord, &wallet, wanted.clone()).await.data();
    assert_eq!(accepted["status"], "PENDING");
    // The other way round is found by the worker; here it is what a bank account of another currency is.
    let euros = app.wallet(&landlord, json!({ "currency": "eur" })).await;
    app.plant(&euros, 10_000).await;
    let change = "mutation($w: String!, $a: String!) { changePayoutAccount(walletId: $w, stripeAccountId: $a) { id } }";
    let named = json!({ "w": euros, "a": account });
    assert_eq!(app.gql(&landlord, change, named).await.code(), None);
    let refused = app.withdraw(&landlord, &euros, wanted.clone()).await;
    assert!(
        refused.message().contains("no bank account in eur"),
        "{}",
        refused.message()
    );
    // Whoever has used up what one may have Stripe asked for is refused by what was told.
    app.stripe
        .fault(json!({ "operation": "accounts.retrieve", "outcome": "error_500" }))
        .await;
    let refused = app.withdraw(&landlord, &euros, wanted).await;
    assert_eq!(refused.code(), Some("INVALID_STATE"), "{}", refused.message());
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wallet_without_an_account_is_onboarded_with_the_one_that_another_wallet_of_the_person_names() {
    let app = TestApp::with_workers(0).await;
    let (landlord, without) = app.owner(0).await;
    let account = app.stripe.account(landlord.id).await;
    let naming = app.wallet(&landlord, json!({ "stripeAccountId": account })).await;
    let others = app.stripe.account(landlord.id).await;
    let opened_before = app.stripe.effects("account.create").await.len();
    let onboarded = onboard(&app, &landlord, &without).await.data();
    assert_eq!(
        onboarded["stripeAccountId"], account,
        "{others} is named by no wallet"
    );
    assert_eq!(app.stripe.effects("account.create").await.len(), opened_before);
    assert_eq!(
        accounts_of(&app, &landlord).await,
        [Some(account.clone()), Some(account.clone())]
    );
    // One that is lost is passed over.
    app.stripe
        .control(&format!("accounts/{account}/deauthorize"), json!({}))
        .await;
    let third = app.wallet(&landlord, json!({ "currency": "eur" })).await;
    let opened = onboard_in(&app, &landlord, &third, "DE").await.data();
    assert_ne!(opened["stripeAccountId"], account);
    assert_eq!(
        app.stripe.effects("account.create").await.len(),
        opened_before + 1
    );
    assert_ne!(naming, third);
    app.abandon().await;
}
