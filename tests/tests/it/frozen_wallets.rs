//! Wallets that an operator deactivates: nothing leaves them, what arrives is booked, and the record says who did it and why.

use chrono::TimeDelta;
use serde_json::{Value, json};
use wallet_dev::token::Role;
use wallet_tests::app::{id_of, uuid};
use wallet_tests::programs;
use wallet_tests::{Answer, TestApp, User, eventually};

const FREEZE: &str =
    "mutation($w: String!, $r: String!) { freezeWallet(walletId: $w, reason: $r) { id isActive } }";
const UNFREEZE: &str =
    "mutation($w: String!, $r: String!) { unfreezeWallet(walletId: $w, reason: $r) { id isActive } }";

async fn freeze(app: &TestApp, by: &User, wallet: &str, reason: &str) -> Answer {
    app.gql(by, FREEZE, json!({ "w": wallet, "r": reason })).await
}

async fn worker(app: &TestApp, args: &[&str]) -> programs::Ended {
    programs::run("wallet-worker", args, &app.variables).await
}

async fn money_out(app: &TestApp, stop: bool) {
    let args: &[&str] = if stop {
        &["money-out", "stop", "--reason", "a look"]
    } else {
        &["money-out", "start"]
    };
    assert_eq!(worker(app, args).await.code, Some(0));
}

fn assert_inactive(failed: &Value) {
    let reason = failed["failureReason"].as_str().unwrap();
    assert!(reason.starts_with("WALLET_INACTIVE: "), "{failed:#}");
    let told = failed["timeline"].to_string();
    assert!(told.contains("the wallet is not active"), "{told}");
    assert!(
        !told.contains("a tip from the bank"),
        "why is not for the owner: {told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wallet_that_was_deactivated_after_its_hold_is_not_paid_out() {
    let app = TestApp::start().await;
    let operator = User::with_role(Role::Operator);
    let (alice, wallet) = app.payee(10_000).await;
    let deposit = app.deposited(&alice, &wallet, 5_000, "pm_card_visa").await;
    app.at_rest().await;
    money_out(&app, true).await;
    let withdrawal = id_of(
        &app.withdraw(&alice, &wallet, json!({ "amount": "30.00" }))
            .await
            .data(),
    );
    let refund = id_of(
        &app.refund(&alice, &deposit, json!({ "amount": "20.00" }))
            .await
            .data(),
    );
    for id in [&withdrawal, &refund] {
        app.at_stage(id, "held").await;
    }
    let frozen = freeze(&app, &operator, &wallet, "a tip from the bank")
        .await
        .data();
    assert_eq!(frozen["isActive"], false);
    // Nobody has to start money-out for it.
    app.hurry_until("what is held to come back", TimeDelta::seconds(5), async || {
        app.balances(&alice, &wallet).await == (15_000, 0)
    })
    .await;
    money_out(&app, false).await;
    for (id, operation) in [(&withdrawal, "transfer.create"), (&refund, "refund.create")] {
        assert_inactive(&app.failed(&alice, id).await);
        assert_eq!(app.stripe.effects_of(id, operation).await, 0);
    }
    assert_eq!(app.balances(&alice, &wallet).await, (15_000, 0));
    for refused in [
        app.withdraw(&alice, &wallet, json!({ "amount": "1.00" })).await,
        app.deposit(&alice, &wallet, json!({ "amount": "1.00" })).await,
        app.refund(&alice, &deposit, json!({})).await,
    ] {
        assert_eq!(refused.code(), Some("WALLET_INACTIVE"), "{refused:?}");
    }
    // Active again, it is paid out.
    let args = json!({ "w": wallet, "r": "it was a mistake" });
    assert_eq!(app.gql(&operator, UNFREEZE, args).await.data()["isActive"], true);
    let id = id_of(
        &app.withdraw(&alice, &wallet, json!({ "amount": "30.00" }))
            .await
            .data(),
    );
    app.completed(&alice, &id).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_has_come_as_far_as_the_connected_account_is_taken_back_and_what_was_sent_is_not() {
    let app = TestApp::start().await;
    app.stripe.settings(json!({ "payout_mode": "manual" })).await;
    let operator = User::with_role(Role::Operator);
    let (alice, wallet) = app.payee(10_000).await;
    let sent = id_of(
        &app.withdraw(&alice, &wallet, json!({ "amount": "10.00" }))
            .await
            .data(),
    );
    app.at_stage(&sent, "paying_out").await;
    let wait = json!({ "operation": "payouts.create", "outcome": "rate_limit" });
    app.stripe.fault(wait).await;
    let id = id_of(
        &app.withdraw(&alice, &wallet, json!({ "amount": "30.00" }))
            .await
            .data(),
    );
    app.told(&alice, &id, "the payment provider is busy").await;
    let _ = freeze(&app, &operator, &wallet, "a tip from the bank")
        .await
        .data();
    app.stripe.clear_faults().await;
    app.hurry_until("it to be refused", TimeDelta::seconds(5), async || {
        app.transaction(&alice, &id).await["status"] == "FAILED"
    })
    .await;
    assert_inactive(&app.transaction(&alice, &id).await);
    assert_eq!(app.stripe.effects_of(&id, "payout.create").await, 0);
    assert_eq!(app.stripe.effects_of(&id, "transfer_reversal.create").await, 1);
    let payout = app.stripe_id(&sent, "stripe_payout_id").await;
    for status in ["in_transit", "paid"] {
        app.stripe
            .control(&format!("payouts/{payout}"), json!({ "status": status }))
            .await;
    }
    app.completed(&alice, &sent).await;
    assert_eq!(app.balances(&alice, &wallet).await, (9_000, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_into_a_deactivated_wallet_is_booked_and_nothing_more_is_asked_for() {
    let mut app = TestApp::start().await;
    let operator = User::with_role(Role::Operator);
    let (alice, wallet) = app.owner(0).await;
    let paying = id_of(
        &app.deposit(&alice, &wallet, json!({ "amount": "25.00" }))
            .await
            .data(),
    );
    app.at_stage(&paying, "awaiting_payment").await;
    app.stop_workers().await;
    let accepted = id_of(
        &app.deposit(&alice, &wallet, json!({ "amount": "10.00" }))
            .await
            .data(),
    );
    let _ = freeze(&app, &operator, &wallet, "a tip from the bank")
        .await
        .data();
    let intent = app.stripe_id(&paying, "stripe_payment_intent_id").await;
    app.stripe.confirm(&intent, "pm_card_visa").await;
    app.start_worker();
    app.completed(&alice, &paying).await;
    assert_inactive(&app.failed(&alice, &accepted).await);
    assert_eq!(app.stripe.effects_of(&accepted, "payment_intent.create").await, 0);
    assert_eq!(app.balances(&alice, &wallet).await, (2_500, 0));
    // A dispute takes its money all the same.
    let params = json!({ "payment_intent": intent });
    app.stripe.control("disputes", params).await;
    eventually("the money to be held", async || {
        app.balances(&alice, &wallet).await == (0, 2_500)
    })
    .await;
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_operators_deactivate_a_wallet_and_who_did_it_and_why_is_on_record() {
    let app = TestApp::with_workers(0).await;
    let (alice, wallet) = app.owner(0).await;
    let before = app.db.digest().await;
    for role in [Role::User, Role::Support] {
        let refused = freeze(&app, &User::with_role(role), &wallet, "no").await;
        assert_eq!(refused.code(), Some("FORBIDDEN"));
    }
    assert_eq!(
        freeze(&app, &alice, &wallet, "mine").await.code(),
        Some("FORBIDDEN")
    );
    let operator = User::with_role(Role::Operator);
    for reason in ["", "   ", "a\u{202E}b", &"x".repeat(1_001)] {
        let refused = freeze(&app, &operator, &wallet, reason).await;
        assert_eq!(refused.field(), Some("reason"), "{reason:?}");
    }
    let nobodys = "01900000-0000-7000-8000-000000000001";
    assert_eq!(
        freeze(&app, &operator, nobodys, "why").await.code(),
        Some("WALLET_NOT_FOUND")
    );
    assert_eq!(
        freeze(&app, &operator, "nothing", "why").await.code(),
        Some("WALLET_NOT_FOUND")
    );
    assert_eq!(app.db.digest().await, before, "a refusal stores nothing");

    let _ = freeze(&app, &operator, &wallet, "a tip from the bank")
        .await
        .data();
    let done = worker(
        &app,
        &["wallets", "activate", &wallet, "--reason", "the bank called back"],
    )
    .await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.out.contains("is active"), "{done:?}");
    let done = worker(&app, &["wallets", "deactivate", &wallet, "--reason", "again"]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    for wrong in [
        &["wallets", "deactivate", &wallet][..],
        &["wallets", "deactivate", &wallet, "--reason", " "],
        &["wallets", "deactivate", nobodys, "--reason", "why"],
        &["wallets", "deactivate", "nothing", "--reason", "why"],
    ] {
        assert_ne!(worker(&app, wrong).await.code, Some(0), "{wrong:?}");
    }
    let trail = "SELECT actor, action, detail->>'reason' FROM audit_log WHERE wallet_ids = ARRAY[$1::uuid] AND action LIKE '%activate_wallet' ORDER BY id";
    let trail: Vec<(String, String, String)> = app
        .db
        .rows(trail, &[&uuid(&wallet)])
        .await
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect();
    let row =
        |actor: &str, action: &str, reason: &str| (actor.to_owned(), action.to_owned(), reason.to_owned());
    assert_eq!(
        trail[0],
        row(
            &format!("user:{}", operator.id),
            "deactivate_wallet",
            "a tip from the bank"
        )
    );
    assert_eq!(
        (trail[1].1.as_str(), trail[1].2.as_str()),
        ("activate_wallet", "the bank called back")
    );
    assert_eq!(
        (trail[2].1.as_str(), trail[2].2.as_str()),
        ("deactivate_wallet", "again")
    );
    assert!(trail[1].0.starts_with("operator"), "{trail:?}");
    app.finish().await;
}

/// The words depend on which of the two wallets is not active: a sender can do nothing about another person's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_is_told_whether_the_own_wallet_or_the_receiving_one_is_not_active() {
    let app = TestApp::start().await;
    let operator = User::with_role(Role::Operator);
    let (alice, hers) = app.owner(10_000).await;
    let (_, his) = app.owner(0).await;
    let asked = async || {
        let input = json!({ "toWalletId": his, "amount": "1.00" });
        [
            app.transfer(&alice, &hers, input.clone()).await,
            app.pay(&alice, &hers, input).await,
        ]
    };
    let own = "the wallet is not active; ask support to activate it";
    let receiving = "the receiving wallet takes no money at present; ask its owner for another one";
    // The receiver's alone, then both, then the sender's alone.
    for (wallet, frozen, words) in [(&his, true, receiving), (&hers, true, own), (&his, false, own)] {
        let query = if frozen { FREEZE } else { UNFREEZE };
        let args = json!({ "w": wallet, "r": "a tip from the bank" });
        let _ = app.gql(&operator, query, args).await.data();
        for refused in asked().await {
            assert_eq!(refused.code(), Some("WALLET_INACTIVE"), "{refused:?}");
            assert_eq!(refused.message(), words);
        }
    }
    assert_eq!(app.balances(&alice, &hers).await, (10_000, 0));
    app.finish().await;
}

/// A reason that a command refuses is refused by a mutation too, in the same words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reason_is_refused_by_commands_and_mutations_alike() {
    let app = TestApp::with_workers(0).await;
    let operator = User::with_role(Role::Operator);
    let (_, wallet) = app.owner(0).await;
    let long = "a".repeat(501);
    for (reason, words) in [
        ("", "says nothing"),
        (" ", "says nothing"),
        ("...", "says nothing"),
        (long.as_str(), "is longer than 500 characters"),
        ("two\nlines", "contains control characters"),
        ("rent\u{202E}tner", "contains control characters"),
    ] {
        let refused = freeze(&app, &operator, &wallet, reason).await;
        assert_eq!(refused.field(), Some("reason"), "{reason:?}: {refused:?}");
        assert!(refused.message().contains(words), "{reason:?}: {refused:?}");
        let args: [&str; 5] = ["wallets", "deactivate", &wallet, "--reason", reason];
        let ended = programs::run("wallet-worker", &args, &app.variables).await;
        assert_eq!(ended.code, Some(2), "{reason:?}: {ended:?}");
        assert!(ended.err.contains(words), "{reason:?}: {ended:?}");
    }
    assert_eq!(
        app.db.count("audit_log WHERE action = 'deactivate_wallet'").await,
        0
    );
    app.finish().await;
}

/// A parked job does not notice by itself that its wallet no longer sends anything: the command that deactivates the wallet names such jobs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_parked_for_a_deactivated_wallet_is_named_and_comes_back_when_it_is_queued_again() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.payee(10_000).await;
    app.stripe
        .fault(json!({ "operation": "transfers.create", "outcome": "error_403" }))
        .await;
    let input = json!({ "amount": "30.00" });
    let withdrawal = id_of(&app.withdraw(&alice, &wallet, input).await.data());
    app.hurry_until("the transfer to be parked", TimeDelta::minutes(5), async || {
        app.db.count("jobs WHERE parked_at IS NOT NULL").await == 1
    })
    .await;
    let job: i64 = app
        .db
        .value("SELECT id FROM jobs WHERE parked_at IS NOT NULL", &[])
        .await;
    let args = ["--json", "wallets", "deactivate", &wallet, "--reason", "a tip"];
    let told = worker(&app, &args).await;
    let told: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(told["parkedJobs"], json!([job]), "{told}");
    let told = worker(&app, &args[1..]).await;
    let fix = format!("`wallet-worker requeue {job} --reason …`");
    assert!(told.out.contains(&fix), "{}", told.out);
    let requeued = worker(
        &app,
        &["requeue", &job.to_string(), "--reason", "it is not active"],
    )
    .await;
    assert_eq!(requeued.code, Some(0), "{requeued:?}");
    assert_inactive(&app.failed(&alice, &withdrawal).await);
    assert_eq!(app.balances(&alice, &wallet).await, (10_000, 0));
    assert_eq!(app.stripe.effects_of(&withdrawal, "transfer.create").await, 0);
    let again = worker(&app, &args).await;
    let again: Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!(again["parkedJobs"], json!([]), "{again}");
    app.abandon().await;
}

/// What a wallet pays of another one's debt returns to that one when the debt is forgiven: nothing leaves a deactivated wallet that way. Once it is
/// active again the debt is paid before anything is sent from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deactivated_wallet_pays_no_debt_of_another_wallet_until_it_is_active_again() {
    for status in ["won", "lost"] {
        let app = TestApp::start().await;
        let operator = User::with_role(Role::Operator);
        let (ada, spent) = app.owner(0).await;
        let frozen = app.wallet(&ada, json!({ "currency": "usd" })).await;
        let (_, shop) = app.owner(0).await;
        let deposit = app.deposited(&ada, &spent, 5_000, "pm_card_visa").await;
        let sent = app.send(&ada, &spent, &shop, 5_000).await;
        app.completed(&ada, &sent).await;
        app.deposited(&ada, &frozen, 8_000, "pm_card_visa").await;
        let _ = freeze(&app, &operator, &frozen, "a tip from the bank")
            .await
            .data();
        let intent = app.stripe_id(&deposit, "stripe_payment_intent_id").await;
        let dispute = app
            .stripe
            .control("disputes", json!({ "payment_intent": intent }))
            .await;
        let ours = id_of(&app.relative(&ada, &deposit).await);
        app.at_stage(&ours, "disputed").await;
        assert_eq!(
            app.balances(&ada, &frozen).await,
            (8_000, 0),
            "nothing has left it"
        );
        assert_eq!(app.owed(&spent).await, 5_000);
        let decision = format!("disputes/{}", id_of(&dispute));
        app.stripe.control(&decision, json!({ "status": status })).await;
        app.ended(&ada, &ours).await;
        app.at_rest().await;
        assert_eq!(app.balances(&ada, &spent).await, (0, 0));
        assert_eq!(app.balances(&ada, &frozen).await, (8_000, 0));
        let args = json!({ "w": frozen, "r": "looked at" });
        let _ = app.gql(&operator, UNFREEZE, args).await.data();
        let all = app.send(&ada, &frozen, &shop, 8_000).await;
        let ended = app.ended(&ada, &all).await;
        if status == "won" {
            assert_eq!(ended["status"], "COMPLETED");
            assert_eq!(app.balances(&ada, &frozen).await, (0, 0));
        } else {
            assert_eq!(ended["status"], "FAILED", "what is owed is not sent");
            let rest = app.send(&ada, &frozen, &shop, 2_000).await;
            app.completed(&ada, &rest).await;
            assert_eq!(app.balances(&ada, &frozen).await, (1_000, 0));
            assert_eq!(app.owed(&spent).await, 0);
        }
        app.finish().await;
    }
}
