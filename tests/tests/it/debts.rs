//! What a person owes the platform: shown, reported, and collected from every wallet of its currency, by transactions of that person alone.

use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};
use wallet_tests::app::id_of;
use wallet_tests::programs::run;
use wallet_tests::socket::Socket;
use wallet_tests::{Options, TestApp, User, eventually};

/// A person whose deposit of 50.00 was spent, all but 15.00, and lost in a dispute: 35.00 are owed. The person, the wallet, the dispute.
async fn in_debt(app: &TestApp) -> (User, String, String) {
    let (ada, wallet) = app.owner(0).await;
    let (_, shop) = app.owner(0).await;
    let deposit = app.deposited(&ada, &wallet, 5_000, "pm_card_visa").await;
    let spent = app.send(&ada, &wallet, &shop, 3_500).await;
    app.completed(&ada, &spent).await;
    let dispute = lost(app, &ada, &deposit).await;
    assert_eq!(
        (app.balances(&ada, &wallet).await, app.owed(&wallet).await),
        ((0, 0), 3_500)
    );
    (ada, wallet, dispute)
}

/// Makes a deposit disputed and lost, and returns our transaction.
async fn lost(app: &TestApp, user: &User, deposit: &str) -> String {
    let intent = app.stripe_id(deposit, "stripe_payment_intent_id").await;
    let dispute = app
        .stripe
        .control("disputes", json!({ "payment_intent": intent }))
        .await;
    let ours = id_of(&app.relative(user, deposit).await);
    app.at_stage(&ours, "disputed").await;
    app.stripe
        .control(
            &format!("disputes/{}", id_of(&dispute)),
            json!({ "status": "lost" }),
        )
        .await;
    app.completed(user, &ours).await;
    ours
}

async fn debt(app: &TestApp, user: &User, wallet: &str) -> Value {
    let query =
        "query($id: String!) { wallet(id: $id) { owedBalance debts { walletId transactionId amount } } }";
    app.gql(user, query, json!({ "id": wallet })).await.data()
}

/// The refunds in a wallet's history, newest first.
async fn taken(app: &TestApp, user: &User, wallet: &str) -> Vec<Value> {
    let query = "query($id: String!) { wallet(id: $id) { transactions(type: REFUND) { edges { node { \
                 id amount direction status relatedTransactionId timeline { message } } } } } }";
    let found = app.gql(user, query, json!({ "id": wallet })).await.data();
    let edges = found["transactions"]["edges"].as_array().unwrap();
    edges.iter().map(|edge| edge["node"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_debt_is_shown_with_its_cause_and_caught_from_a_wallet_that_was_opened_later() {
    let app = TestApp::start().await;
    let (ada, wallet, dispute) = in_debt(&app).await;
    let second = app.wallet(&ada, json!({ "currency": "usd" })).await;
    let euros = app.wallet(&ada, json!({ "currency": "eur" })).await;
    let cause = json!({ "walletId": wallet, "transactionId": dispute, "amount": "35.00" });
    for shown in [&wallet, &second] {
        let told = debt(&app, &ada, shown).await;
        assert_eq!(told, json!({ "owedBalance": "35.00", "debts": [cause] }));
    }
    let none = json!({ "owedBalance": "0.00", "debts": [] });
    assert_eq!(debt(&app, &ada, &euros).await, none);
    // Another currency, and another person's money, pay nothing.
    app.deposited(&ada, &euros, 2_000, "pm_card_visa").await;
    assert_eq!(app.balances(&ada, &euros).await, (2_000, 0));
    for (credit, left, owed) in [(2_000, 0, "15.00"), (50, 0, "14.50"), (4_000, 2_550, "0.00")] {
        app.deposited(&ada, &second, credit, "pm_card_visa").await;
        assert_eq!(app.balances(&ada, &second).await, (left, 0), "{credit}");
        assert_eq!(debt(&app, &ada, &wallet).await["owedBalance"], owed, "{credit}");
    }
    assert_eq!(debt(&app, &ada, &wallet).await, none);
    let payments = taken(&app, &ada, &second).await;
    let amounts: Vec<&Value> = payments.iter().map(|payment| &payment["amount"]).collect();
    assert_eq!(amounts, ["14.50", "0.50", "20.00"]);
    for payment in &payments {
        assert_eq!(
            (
                &payment["direction"],
                &payment["status"],
                &payment["relatedTransactionId"]
            ),
            (&json!("OUT"), &json!("COMPLETED"), &json!(dispute))
        );
        assert!(
            payment["timeline"].to_string().contains("kept for what was owed"),
            "{payment}"
        );
    }
    app.finish().await;
}

/// The debt is the person's: it changes by what arrives in a wallet that nobody watches.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_watches_any_wallet_of_a_person_hears_of_the_debt() {
    let app = TestApp::start().await;
    let (ada, _, _) = in_debt(&app).await;
    let watched = app.wallet(&ada, json!({ "currency": "usd" })).await;
    let paying = app.wallet(&ada, json!({ "currency": "usd" })).await;
    let mut socket = Socket::of(app.base(), &ada).await;
    let query = "subscription($id: String!) { walletUpdated(id: $id) { owedBalance } }";
    socket.begin("debt", query, json!({ "id": watched })).await;
    let first = socket.result_of("debt").await;
    assert_eq!(first["data"]["walletUpdated"]["owedBalance"], "35.00");
    app.deposited(&ada, &paying, 2_000, "pm_card_visa").await;
    let then = socket.result_of("debt").await;
    assert_eq!(then["data"]["walletUpdated"]["owedBalance"], "15.00");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_debt_takes_what_the_persons_other_wallets_have_when_it_is_made() {
    for (other, left, owed) in [(2_000, 0, 1_500), (3_500, 0, 0), (9_000, 5_500, 0)] {
        let app = TestApp::start().await;
        let (ada, wallet) = app.owner(0).await;
        let second = app.wallet(&ada, json!({ "currency": "usd" })).await;
        app.deposited(&ada, &second, other, "pm_card_visa").await;
        let (_, shop) = app.owner(0).await;
        let deposit = app.deposited(&ada, &wallet, 5_000, "pm_card_visa").await;
        let spent = app.send(&ada, &wallet, &shop, 3_500).await;
        app.completed(&ada, &spent).await;
        lost(&app, &ada, &deposit).await;
        assert_eq!(app.balances(&ada, &second).await, (left, 0));
        assert_eq!(app.owed(&wallet).await, owed);
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_pays_a_debtor_reads_nothing_of_the_debt_and_the_debtor_reads_all_of_it() {
    let app = TestApp::start().await;
    let (ada, wallet, dispute) = in_debt(&app).await;
    let (ben, bens) = app.owner(10_000).await;
    let transfer = app.send(&ben, &bens, &wallet, 1_000).await;
    let input = json!({ "toWalletId": wallet, "amount": "10.00" });
    let payment = id_of(&app.pay(&ben, &bens, input).await.data());
    for (sent, id) in [("transfer", &transfer), ("payment", &payment)] {
        let seen = app.completed(&ben, id).await.to_string();
        for word in ["owed", "kept", "debt", "platform", &dispute] {
            assert!(!seen.contains(word), "{sent}: {word} in {seen}");
        }
        assert_eq!(app.transaction(&ada, id).await["timeline"], json!([]));
    }
    let payments = taken(&app, &ada, &wallet).await;
    let amounts: Vec<&Value> = payments.iter().map(|payment| &payment["amount"]).collect();
    assert_eq!(amounts, ["9.90", "10.00", "50.00"], "{payments:?}");
    let own = id_of(&payments[0]);
    assert_eq!(payments[0]["relatedTransactionId"], json!(dispute));
    assert_eq!(app.transaction(&ben, &own).await, Value::Null);
    // Nothing in the entries of Ben's transactions is Ada's debt either.
    let entries = "SELECT count(*) FROM ledger_entries WHERE account = 'platform:receivable' AND transaction_id = ANY($1::text[]::uuid[])";
    assert_eq!(app.db.value::<i64>(entries, &[&vec![transfer, payment]]).await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn debts_are_listed_for_operators_and_alarmed_above_the_limit_until_they_are_paid() {
    let limit = ("DEBT_ALARM_ABOVE", "34.99".to_owned());
    let app = TestApp::with(Options {
        variables: vec![limit],
        ..Options::default()
    })
    .await;
    let (ada, wallet, dispute) = in_debt(&app).await;
    let listed = run("wallet-worker", &["debts"], &app.variables).await;
    assert!(
        listed.out.contains(&format!("wallet {wallet}  owes 35.00 usd")),
        "{listed:?}"
    );
    assert!(
        listed.out.contains(&format!("35.00 usd  for {dispute}")),
        "{listed:?}"
    );
    let listed = run("wallet-worker", &["debts", "--json"], &app.variables).await;
    let listed: Value = serde_json::from_str(listed.out.trim()).unwrap();
    let line = &listed["debts"][0];
    assert_eq!(
        (&line["wallet"], &line["amount"]),
        (&json!(wallet), &json!("35.00"))
    );
    assert_eq!(line["causes"][0]["transaction"], json!(dispute));
    let open = "alarms WHERE kind = 'debt_above_limit' AND closed_at IS NULL";
    eventually("the alarm", async || app.db.count(open).await == 1).await;
    app.deposited(&ada, &wallet, 50, "pm_card_visa").await;
    eventually("the alarm to close", async || app.db.count(open).await == 0).await;
    let leftovers = wallet_tests::app::Leftovers {
        alarms: &["debt_above_limit"],
        ..Default::default()
    };
    app.finish_with(leftovers).await;
}

/// Credits of one wallet while the debt arises in another, repeatedly: nobody ever owes while having money to spend.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_debt_and_credits_of_other_wallets_at_the_same_time_miss_each_other_never() {
    let app = TestApp::with_workers(3).await;
    let (ada, wallet) = app.owner(0).await;
    let (_, shop) = app.owner(0).await;
    let (ben, bens) = app.owner(100_000).await;
    let mut wallets = vec![wallet.clone()];
    for _ in 0..2 {
        wallets.push(app.wallet(&ada, json!({ "currency": "usd" })).await);
    }
    let mut deposits = Vec::new();
    for _ in 0..4 {
        deposits.push(app.deposited(&ada, &wallet, 5_000, "pm_card_visa").await);
    }
    let spent = app.send(&ada, &wallet, &shop, 20_000).await;
    app.completed(&ada, &spent).await;
    let sends = (0..30).map(|n| app.send(&ben, &bens, &wallets[n % 3], 100 + i64::try_from(n).unwrap()));
    let (sent, _) = tokio::join!(
        join_all(sends),
        join_all(deposits.iter().map(async |deposit| {
            let intent = app.stripe_id(deposit, "stripe_payment_intent_id").await;
            let order = json!({ "payment_intent": intent, "status": "prevented" });
            app.stripe.control("disputes", order).await;
        }))
    );
    for id in &sent {
        app.completed(&ben, id).await;
    }
    app.at_rest().await;
    let both =
        "wallets o JOIN wallets w USING (user_id, currency) WHERE o.owed_balance > 0 AND w.balance > 0";
    assert_eq!(app.db.count(both).await, 0);
    let credited: i64 = (0..30).map(|n| 100 + n).sum();
    assert_eq!(app.owed(&wallet).await, 20_000 - credited);
    app.advance(TimeDelta::hours(1)).await;
    let raised = app.alarms().await;
    let raised: Vec<&str> = raised.iter().map(String::as_str).collect();
    app.finish_with(wallet_tests::app::Leftovers {
        alarms: &raised,
        ..Default::default()
    })
    .await;
}

/// A refund that came back is no longer a cause, and what is still owed is attributed to what is still missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_back_is_no_cause_of_a_debt() {
    let app = TestApp::start().await;
    let (ada, wallet) = app.owner(0).await;
    let (_, shop) = app.owner(0).await;
    let disputed = app.deposited(&ada, &wallet, 5_000, "pm_card_visa").await;
    let refunded = app.deposited(&ada, &wallet, 5_000, "pm_card_visa").await;
    let spent = app.send(&ada, &wallet, &shop, 10_000).await;
    app.completed(&ada, &spent).await;
    let dispute = lost(&app, &ada, &disputed).await;
    let intent = app.stripe_id(&refunded, "stripe_payment_intent_id").await;
    let refund = app
        .stripe
        .control("refunds", json!({ "payment_intent": intent }))
        .await;
    let ours = id_of(&app.relative(&ada, &refunded).await);
    app.completed(&ada, &ours).await;
    let cause = |id: &str| json!({ "walletId": wallet, "transactionId": id, "amount": "50.00" });
    let told = debt(&app, &ada, &wallet).await;
    assert_eq!(
        told,
        json!({ "owedBalance": "100.00", "debts": [cause(&ours), cause(&dispute)] })
    );
    app.stripe
        .control(
            &format!("refunds/{}", id_of(&refund)),
            json!({ "status": "failed" }),
        )
        .await;
    eventually("the refund to come back", async || {
        app.owed(&wallet).await == 5_000
    })
    .await;
    let told = debt(&app, &ada, &wallet).await;
    assert_eq!(
        told,
        json!({ "owedBalance": "50.00", "debts": [cause(&dispute)] })
    );
    app.finish().await;
}

/// What a person owes is read once for a request, however many wallets and aliases ask for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_debts_of_a_hundred_wallets_are_shown_in_one_request() {
    let app = TestApp::start().await;
    let (ada, wallet, dispute) = in_debt(&app).await;
    let planted = "INSERT INTO wallets (id, user_id, currency) SELECT gen_random_uuid(), $1, 'usd' FROM generate_series(1, 60)";
    app.db.execute(planted, &[&ada.id]).await;
    let query = "{ wallets { id owedBalance debts { transactionId amount } again: owedBalance } }";
    let found = app.gql(&ada, query, json!({})).await.data();
    let wallets = found.as_array().unwrap();
    assert!(wallets.iter().any(|found| found["id"] == json!(wallet)));
    assert!(wallets.len() > 30, "a page of them");
    for found in wallets {
        assert_eq!(
            (&found["owedBalance"], &found["again"]),
            (&json!("35.00"), &json!("35.00"))
        );
        assert_eq!(
            found["debts"],
            json!([{ "transactionId": dispute, "amount": "35.00" }])
        );
    }
    app.finish().await;
}
