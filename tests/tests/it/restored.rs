//! After a backup was restored, these books know nothing of calls that were made since; Stripe remembers keys for a day, and objects for ever.

use chrono::TimeDelta;
use serde_json::json;
use wallet_tests::TestApp;
use wallet_tests::app::id_of;
use wallet_tests::programs::run;

async fn money_out(app: &TestApp, what: &[&str]) {
    let args: Vec<&str> = std::iter::once("money-out").chain(what.iter().copied()).collect();
    let done = run("wallet-worker", &args, &app.variables).await;
    assert_eq!(done.code, Some(0), "{done:?}");
}

/// Restored a day after its transfer, as if it had been held since, a withdrawal sends nothing a second time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_after_the_backup_is_found_at_stripe_also_when_its_key_is_forgotten() {
    for (hours, is_found) in [(25, true), (24 * 20, true)] {
        let app = TestApp::start().await;
        let (ada, wallet) = app.payee(10_000).await;
        money_out(&app, &["stop", "--reason", "a backup is restored"]).await;
        let input = json!({ "amount": "50.00" });
        let id = id_of(&app.withdraw(&ada, &wallet, input).await.data());
        app.at_stage(&id, "held").await;
        // What the lost books had sent.
        let account = app.account_of(&wallet).await;
        let params = [
            ("amount", "5000"),
            ("currency", "usd"),
            ("destination", account.as_str()),
            ("transfer_group", id.as_str()),
            ("metadata[transaction_id]", id.as_str()),
            ("metadata[wallet_id]", wallet.as_str()),
        ];
        let sent = id_of(&app.stripe.form("/v1/transfers", &params).await);
        app.advance(TimeDelta::hours(hours)).await;
        money_out(&app, &["start"]).await;
        app.hurry_until("the withdrawal to end", TimeDelta::minutes(10), async || {
            app.transaction(&ada, &id).await["status"] == "COMPLETED"
        })
        .await;
        assert_eq!(app.stripe.effects_of(&id, "transfer.create").await, 1, "{hours}");
        assert_eq!(
            app.stripe_id(&id, "stripe_transfer_id").await == sent,
            is_found,
            "{hours}"
        );
        assert_eq!(app.balances(&ada, &wallet).await, (5_000, 0));
        app.abandon().await;
    }
}
