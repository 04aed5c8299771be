//! Whose account a wallet pays out to: Stripe's `metadata.user_id` decides, before anything is stored here or changed there.

use chrono::{SecondsFormat, TimeDelta};
use serde_json::{Value, json};
use wallet_core::clock::Clock;
use wallet_tests::app::{Options, id_of, uuid};
use wallet_tests::{Answer, Role, TestApp, User, eventually};

const CREATE: &str = "mutation($i: CreateWalletInput!) { createWallet(input: $i) { id } }";
const CHANGE: &str =
    "mutation($w: String!, $a: String!) { changePayoutAccount(walletId: $w, stripeAccountId: $a) { id } }";
const ONBOARD: &str = "mutation($w: String!) { onboardPayouts(walletId: $w,
    input: { returnUrl: \"http://localhost:3000/back\", refreshUrl: \"https://example.com/again\" }) { stripeAccountId url payoutsEnabled } }";

/// The simulator's platform.
const PLATFORM: &str = "acct_1SimulatorPlatform0";

async fn create(app: &TestApp, user: &User, account: &str) -> Answer {
    app.gql(user, CREATE, json!({ "i": { "stripeAccountId": account } }))
        .await
}

async fn change(app: &TestApp, user: &User, wallet: &str, account: &str) -> Answer {
    app.gql(user, CHANGE, json!({ "w": wallet, "a": account })).await
}

async fn onboard(app: &TestApp, user: &User, wallet: &str) -> Answer {
    app.gql(user, ONBOARD, json!({ "w": wallet })).await
}

/// An account at Stripe with this metadata, ready to be paid.
async fn account_with(app: &TestApp, metadata: Value) -> String {
    id_of(
        &app.stripe
            .control("accounts", json!({ "metadata": metadata }))
            .await,
    )
}

/// The properties of an account that a person who names it could have changed.
async fn schedule_of(app: &TestApp, account: &str) -> Value {
    app.stripe.get(&format!("/v1/accounts/{account}")).await["settings"]["payouts"]["schedule"]["interval"]
        .clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_named_only_by_the_person_whom_stripe_names() {
    let app = TestApp::with_workers(0).await;
    let (thief, theirs) = app.owner(10_000).await;
    let owner = User::new();
    let nobodys = account_with(&app, json!({})).await;
    let empty = account_with(&app, json!({ "user_id": "" })).await;
    let other_key = account_with(&app, json!({ "userId": thief.id })).await;
    let strangers = app.stripe.account(owner.id).await;
    // Somebody has written into the platform's own account: https://docs.stripe.com/api/accounts/retrieve gives it by its id, too.
    app.stripe
        .settings(json!({ "platform_metadata": { "user_id": thief.id } }))
        .await;
    let own = app.stripe.get(&format!("/v1/accounts/{PLATFORM}")).await;
    assert_eq!(own["metadata"]["user_id"], json!(thief.id));
    let before = app.db.digest().await;
    for account in [
        &nobodys,
        &empty,
        &other_key,
        &strangers,
        PLATFORM,
        "acct_1Unknown",
    ] {
        for refused in [
            create(&app, &thief, account).await,
            change(&app, &thief, &theirs, account).await,
        ] {
            assert_eq!(
                (refused.code(), refused.field()),
                (Some("VALIDATION_ERROR"), Some("stripeAccountId")),
                "{account}: {refused:?}"
            );
        }
    }
    assert_eq!(app.db.digest().await, before, "a refusal stores nothing");
    for account in [&nobodys, &empty, &other_key, &strangers] {
        assert_eq!(schedule_of(&app, account).await, "daily", "{account}");
    }
    assert!(app.stripe.effects("account_link.create").await.is_empty());

    // An operator creates it for its owner, and nobody has locked the owner out.
    let operator = User::with_role(wallet_dev::token::Role::Operator);
    let input = json!({ "userId": owner.id, "stripeAccountId": strangers });
    let created = app.gql(&operator, CREATE, json!({ "i": input })).await.data();
    let input = json!({ "userId": thief.id, "stripeAccountId": strangers });
    let refused = app.gql(&operator, CREATE, json!({ "i": input })).await;
    assert_eq!(refused.field(), Some("stripeAccountId"));
    let opened = onboard(&app, &owner, &id_of(&created)).await.data();
    assert_eq!(opened["stripeAccountId"], json!(strangers));
    let known = "stripe_accounts WHERE user_id = $1";
    assert_eq!(
        app.db
            .value::<i64>(&format!("SELECT count(*) FROM {known}"), &[&owner.id])
            .await,
        1
    );
    assert_eq!(app.db.count("stripe_accounts").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wallet_that_named_a_strangers_account_before_gets_no_link_and_no_money_out_and_changes_nothing_there()
 {
    let app = TestApp::start().await;
    let owner = User::new();
    let strangers = app.stripe.account(owner.id).await;
    let nobodys = account_with(&app, json!({})).await;
    for account in [&strangers, &nobodys] {
        let (thief, wallet) = app.owner(5_000).await;
        // As an earlier version stored it, also whose it took the account to be.
        app.db
            .execute(
                "UPDATE wallets SET stripe_account_id = $2 WHERE id = $1",
                &[&uuid(&wallet), account],
            )
            .await;
        let refused = onboard(&app, &thief, &wallet).await;
        assert_eq!(refused.code(), Some("INVALID_STATE"), "{refused:?}");
        assert!(refused.message().contains("changePayoutAccount"), "{refused:?}");
        let id = id_of(
            &app.withdraw(&thief, &wallet, json!({ "amount": "30.00" }))
                .await
                .data(),
        );
        let failed = app.failed(&thief, &id).await;
        let reason = failed["failureReason"].as_str().unwrap();
        assert!(
            reason.starts_with("PAYOUT_ACCOUNT_REFUSED: Stripe does not say"),
            "{reason}"
        );
        assert_eq!(app.balances(&thief, &wallet).await, (5_000, 0));
        assert_eq!(app.stripe.effects_of(&id, "transfer.create").await, 0);
        assert_eq!(schedule_of(&app, account).await, "daily");
        let recorded = "SELECT count(*) FROM stripe_accounts WHERE stripe_account_id = $1";
        assert_eq!(app.db.value::<i64>(recorded, &[account]).await, 0);
        // The earlier version also wrote down that the account is the thief's.
        app.db
            .execute(
                "INSERT INTO stripe_accounts (stripe_account_id, user_id, payouts_enabled, created_at, updated_at)
                 VALUES ($1, $2, true, now() - interval '1 hour', now() - interval '1 hour')",
                &[account, &thief.id],
            )
            .await;
        let again = app.withdraw(&thief, &wallet, json!({ "amount": "30.00" })).await;
        app.failed(&thief, &id_of(&again.data())).await;
    }
    // The owner is paid all the same.
    let wallet = id_of(&create(&app, &owner, &strangers).await.data());
    app.plant(&wallet, 5_000).await;
    assert_eq!(
        onboard(&app, &owner, &wallet).await.data()["payoutsEnabled"],
        true
    );
    let id = id_of(
        &app.withdraw(&owner, &wallet, json!({ "amount": "30.00" }))
            .await
            .data(),
    );
    app.completed(&owner, &id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistyped_account_is_corrected_and_withdrawals_wait_for_the_cool_off() {
    for (configured, hours) in [(None, 24), (Some("2"), 2), (Some("0"), 0)] {
        let variables = configured.map(|hours| ("PAYOUT_CHANGE_COOL_OFF_HOURS", hours.to_owned()));
        let app = TestApp::with(Options {
            workers: 0,
            variables: variables.into_iter().collect(),
            ..Options::default()
        })
        .await;
        let (ada, wallet) = app.payee(10_000).await;
        let first = app.account_of(&wallet).await;
        let earlier = id_of(
            &app.withdraw(&ada, &wallet, json!({ "amount": "10.00" }))
                .await
                .data(),
        );
        let second = app.stripe.account(ada.id).await;
        let changed_at = app.clock.now();
        assert_eq!(id_of(&change(&app, &ada, &wallet, &second).await.data()), wallet);
        assert_eq!(app.account_of(&wallet).await, second);
        // Again, it changes nothing; somebody else's wallet looks like none.
        let _ = change(&app, &ada, &wallet, &second).await.data();
        assert_eq!(
            change(&app, &User::new(), &wallet, &second).await.code(),
            Some("WALLET_NOT_FOUND")
        );
        let operator = User::with_role(Role::Operator);
        let refused = change(&app, &operator, &wallet, &second).await;
        assert_eq!(refused.code(), Some("FORBIDDEN"), "{}", refused.message());
        let audited = "SELECT detail FROM audit_log WHERE action = 'change_payout_account'";
        let audited = app.db.rows(audited, &[]).await;
        assert_eq!(audited.len(), 1);
        let detail: Value = audited[0].get(0);
        assert_eq!((&detail["from"], &detail["to"]), (&json!(first), &json!(second)));

        if hours > 0 {
            app.advance(TimeDelta::hours(hours) - TimeDelta::minutes(1)).await;
            let waits = app.withdraw(&ada, &wallet, json!({ "amount": "20.00" })).await;
            assert_eq!(waits.code(), Some("INVALID_STATE"));
            let day = (changed_at + TimeDelta::hours(hours)).to_rfc3339_opts(SecondsFormat::Secs, true);
            assert!(
                waits.message().contains(&day[..16]),
                "{} is not in {waits:?}",
                &day[..16]
            );
            app.advance(TimeDelta::minutes(2)).await;
        }
        let later = id_of(
            &app.withdraw(&ada, &wallet, json!({ "amount": "20.00" }))
                .await
                .data(),
        );
        for (id, account) in [(&earlier, &first), (&later, &second)] {
            let goes_to = app.stripe_id(id, "stripe_account_id").await;
            assert_eq!(&goes_to, account, "where it goes is fixed when it is accepted");
        }
        app.abandon().await;
    }
}

/// A wallet that joins the others of its person, at an account where they are already paid, delays none of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wallet_that_comes_back_to_the_account_of_another_one_shuts_nobody_out() {
    let app = TestApp::with_workers(0).await;
    let (ada, first) = app.payee(10_000).await;
    let account = app.account_of(&first).await;
    let second = app
        .wallet(&ada, json!({ "currency": "usd", "stripeAccountId": account }))
        .await;
    let other = app.stripe.account(ada.id).await;
    let input = || json!({ "amount": "1.00" });
    for named in [&other, &account, &other, &account] {
        let _ = change(&app, &ada, &second, named).await.data();
        let paid = app.withdraw(&ada, &first, input()).await;
        assert_eq!(paid.code(), None, "{paid:?}");
    }
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_not_named_while_stripe_is_away_and_a_repeated_key_waits_for_nobody() {
    let app = TestApp::with_workers(0).await;
    let ada = User::new();
    let account = app.stripe.account(ada.id).await;
    let input =
        json!({ "stripeAccountId": account, "idempotencyKey": "the first wallet" .replace(' ', "-") });
    for (operation, outcome) in [
        ("accounts.retrieve", "drop_before"),
        ("accounts.retrieve", "error_503"),
        ("accounts.retrieve_own", "error_500"),
    ] {
        app.stripe
            .fault(json!({ "operation": operation, "nth": 1, "outcome": outcome }))
            .await;
        let away = app.gql(&ada, CREATE, json!({ "i": input })).await;
        // What is known already is not asked again.
        if app.stripe.fault_hits().await.iter().sum::<u64>() > 0 {
            assert_eq!(away.code(), Some("SERVICE_UNAVAILABLE"), "{operation} {outcome}");
            assert!(
                away.message().ends_with("with the same idempotency key"),
                "{away:?}"
            );
            assert_eq!(app.db.count("wallets").await, 0);
            assert_eq!(app.db.count("idempotency_keys").await, 0);
        }
        app.stripe.clear_faults().await;
    }
    app.advance(TimeDelta::seconds(10)).await;
    let created = id_of(&app.gql(&ada, CREATE, json!({ "i": input })).await.data());
    app.stripe.fault(json!({ "outcome": "error_503" })).await;
    let again = id_of(&app.gql(&ada, CREATE, json!({ "i": input })).await.data());
    assert_eq!(again, created);
    let other =
        json!({ "stripeAccountId": account, "currency": "eur", "idempotencyKey": input["idempotencyKey"] });
    let other = app.gql(&ada, CREATE, json!({ "i": other })).await;
    assert_eq!(other.code(), Some("IDEMPOTENCY_CONFLICT"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_whose_account_is_lost_gets_another_one_and_is_paid_there() {
    // Deauthorised by its person, or deleted by the platform; opened by the onboarding, or named.
    for (by_person, opened) in [(true, true), (false, true), (true, false)] {
        let app = TestApp::start().await;
        let (ada, wallet) = app.owner(10_000).await;
        let lost = if opened {
            let opened = onboard(&app, &ada, &wallet).await.data();
            opened["stripeAccountId"].as_str().unwrap().to_owned()
        } else {
            let account = app.stripe.account(ada.id).await;
            let _ = change(&app, &ada, &wallet, &account).await.data();
            account
        };
        if by_person {
            app.stripe
                .control(&format!("accounts/{lost}/deauthorize"), json!({}))
                .await;
        } else {
            app.stripe.delete(&format!("/v1/accounts/{lost}")).await;
        }
        let closed = "stripe_accounts WHERE NOT payouts_enabled AND disabled_reason = 'disconnected'";
        eventually("withdrawals to be closed", async || {
            app.db.count(closed).await == 1
        })
        .await;
        let refused = app.withdraw(&ada, &wallet, json!({ "amount": "10.00" })).await;
        assert_eq!(refused.code(), Some("INVALID_STATE"), "{refused:?}");

        let second = app.wallet(&ada, json!({})).await;
        // Of both wallets, and twice at once: one new account.
        let (one, other) = tokio::join!(onboard(&app, &ada, &second), onboard(&app, &ada, &wallet));
        let new = match (one.code(), other.code()) {
            (None, _) => one,
            _ => other,
        };
        let new = new.data()["stripeAccountId"].as_str().unwrap().to_owned();
        assert_ne!(new, lost);
        assert_eq!(
            onboard(&app, &ada, &wallet).await.data()["stripeAccountId"],
            json!(new)
        );
        assert_eq!(app.account_of(&wallet).await, new);
        assert_eq!(app.account_of(&second).await, new);
        assert_eq!(app.db.count(closed).await, 1, "the old one is kept on record");
        assert_eq!(app.stripe.effects("account.create").await.len(), 2);
        app.stripe
            .control(&format!("accounts/{new}"), json!({ "onboard": true }))
            .await;
        let open = "stripe_accounts WHERE payouts_enabled";
        eventually("withdrawals to be open", async || app.db.count(open).await == 1).await;
        let id = id_of(
            &app.withdraw(&ada, &wallet, json!({ "amount": "10.00" }))
                .await
                .data(),
        );
        app.completed(&ada, &id).await;
        assert_eq!(
            app.stripe.effects("transfer.create").await[0]["account"],
            json!(new)
        );
        app.finish().await;
    }
}

/// Withdrawals are closed only if Stripe does not know the account (any more): any other refusal may be about our key, or our request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_stripe_refuses_says_nothing_about_the_account() {
    for refusal in ["error_400", "error_403", "error_404", "error_403_account"] {
        let app = TestApp::start().await;
        let (ada, wallet) = app.payee(10_000).await;
        let account = app.account_of(&wallet).await;
        app.stripe
            .fault(json!({ "operation": "accounts.retrieve", "nth": 1, "outcome": refusal }))
            .await;
        app.stripe
            .control(
                &format!("accounts/{account}"),
                json!({ "metadata": { "note": "moved" } }),
            )
            .await;
        eventually("the question", async || app.stripe.fault_hits().await == [1]).await;
        app.stripe.clear_faults().await;
        let closed = "stripe_accounts WHERE NOT payouts_enabled AND disabled_reason = 'disconnected'";
        if refusal == "error_404" {
            eventually("withdrawals to be closed", async || {
                app.db.count(closed).await == 1
            })
            .await;
            app.abandon().await;
            continue;
        }
        let withdrawal = app.withdraw(&ada, &wallet, json!({ "amount": "10.00" })).await;
        app.completed(&ada, &id_of(&withdrawal.data())).await;
        assert_eq!(app.db.count(closed).await, 0, "{refusal}");
        app.abandon().await;
    }
}

/// The wait after a change is the person's: neither a second wallet that names the new account, nor one that was changed before, avoids
/// it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_wallet_is_no_way_around_the_cool_off() {
    let app = TestApp::start().await;
    let (ada, wallet) = app.payee(30_000).await;
    let new = app.stripe.account(ada.id).await;
    let withdraw = async |wallet: &str| {
        let asked = app.withdraw(&ada, wallet, json!({ "amount": "10.00" })).await;
        asked.code().map(str::to_owned)
    };
    let fund = async |to: &str| {
        let sent = app.send(&ada, &wallet, to, 10_000).await;
        app.completed(&ada, &sent).await;
    };
    // Created with the new account, without any change before.
    let second = id_of(&create(&app, &ada, &new).await.data());
    fund(&second).await;
    assert_eq!(withdraw(&second).await.as_deref(), Some("INVALID_STATE"));
    // The first one goes on with the account that it has.
    assert_eq!(withdraw(&wallet).await, None);
    // And after a change of another wallet.
    let newest = app.stripe.account(ada.id).await;
    let _ = change(&app, &ada, &wallet, &newest).await.data();
    let fourth = id_of(&create(&app, &ada, &newest).await.data());
    fund(&fourth).await;
    assert_eq!(withdraw(&fourth).await.as_deref(), Some("INVALID_STATE"));
    app.advance(TimeDelta::hours(24) + TimeDelta::minutes(1)).await;
    for wallet in [&second, &fourth] {
        assert_eq!(withdraw(wallet).await, None);
    }
    app.finish().await;
}

/// The wait belongs to the person and the account: a wallet without an account does not avoid it, whether the other account is named or
/// opened for it; nor does changing there and back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_paid_already_waits_for_every_other_account_however_it_comes_to_a_wallet() {
    for way in ["named", "there and back"] {
        let app = TestApp::start().await;
        let (ada, wallet) = app.payee(30_000).await;
        let first = app.account_of(&wallet).await;
        let second = app.wallet(&ada, json!({})).await;
        let sent = app.send(&ada, &wallet, &second, 6_000).await;
        app.completed(&ada, &sent).await;
        let other = app.stripe.account(ada.id).await;
        assert_ne!(other, first);
        if way == "there and back" {
            let _ = change(&app, &ada, &wallet, &other).await.data();
            let _ = change(&app, &ada, &second, &other).await.data();
            let _ = change(&app, &ada, &wallet, &first).await.data();
        } else {
            let _ = change(&app, &ada, &second, &other).await.data();
        }
        assert_eq!(app.account_of(&second).await, other);
        let withdraw = async |wallet: &str| app.withdraw(&ada, wallet, json!({ "amount": "20.00" })).await;
        let waits = withdraw(&second).await;
        assert_eq!(waits.code(), Some("INVALID_STATE"), "{way}: {waits:?}");
        assert!(
            waits.message().contains("withdrawals are open again from"),
            "{way}: {waits:?}"
        );
        if way != "there and back" {
            // Where the person was paid all along, nothing waits.
            assert_eq!(withdraw(&wallet).await.code(), None, "{way}");
        }
        app.advance(TimeDelta::hours(24) + TimeDelta::minutes(1)).await;
        assert_eq!(withdraw(&second).await.code(), None, "{way}");
        app.abandon().await;
    }
}

/// The first account involves no wait: there was no other one to be paid to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_account_of_a_person_has_no_wait_and_what_is_remembered_is_bounded() {
    let app = TestApp::start().await;
    let (ada, wallet) = app.owner(10_000).await;
    let first = app.stripe.account(ada.id).await;
    let _ = change(&app, &ada, &wallet, &first).await.data();
    assert_eq!(app.db.count("payout_account_changes").await, 0);
    let asked = app.withdraw(&ada, &wallet, json!({ "amount": "10.00" })).await;
    assert_eq!(asked.code(), None, "{asked:?}");
    // What is older than any wait goes with the next change.
    for _ in 0..3 {
        let next = app.stripe.account(ada.id).await;
        let _ = change(&app, &ada, &wallet, &next).await.data();
        assert_eq!(app.db.count("payout_account_changes").await, 1);
        app.advance(TimeDelta::days(61)).await;
    }
    app.abandon().await;
}
