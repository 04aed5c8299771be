//! When Stripe answers again, and when an answer is lost: work continues, sooner than by its back-off.

use serde_json::json;
use wallet_core::clock::{Clock, SystemClock};
use wallet_core::jobs::{self, Expedite, QueueName, WaitsFor};
use wallet_tests::app::{id_of, uuid};
use wallet_tests::{TestApp, eventually};

/// From this attempt on a waiting job writes one line and is not tried again for an hour.
const LONG_BACK_OFF: &str = "CREATE FUNCTION long_back_off() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN NEW.run_at = NEW.run_at + interval '1 hour'; RETURN NEW; END $$;
    CREATE TRIGGER long_back_off BEFORE UPDATE OF last_error ON jobs
    FOR EACH ROW WHEN (NEW.last_error IS NOT NULL AND NEW.run_at > OLD.run_at) EXECUTE FUNCTION long_back_off()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_call_failed_alone_goes_on_when_no_more_calls_fail() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.payee(2_000).await;
    app.db.client().await.batch_execute(LONG_BACK_OFF).await.unwrap();
    let mut ids = Vec::new();
    for outcome in ["error_503", "drop_after"] {
        app.stripe
            .fault(json!({ "operation": "transfers.create", "nth": 1, "outcome": outcome }))
            .await;
        let amount = json!({ "amount": "10.00" });
        let id = id_of(&app.withdraw(&alice, &wallet, amount).await.data());
        app.told(
            &alice,
            &id,
            "the payment provider has not confirmed the outcome yet",
        )
        .await;
        app.stripe.clear_faults().await;
        ids.push(id);
    }
    for id in ids {
        eventually("the withdrawal to be paid", async || {
            app.transaction(&alice, &id).await["status"] == "COMPLETED"
        })
        .await;
        assert_eq!(app.stripe.effects_of(&id, "transfer.create").await, 1);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_fails_again_and_again_keeps_its_back_off() {
    let app = TestApp::with_workers(0).await;
    let (alice, wallet) = app.payee(1_000).await;
    let amount = json!({ "amount": "10.00" });
    let id = id_of(&app.withdraw(&alice, &wallet, amount).await.data());
    let waits =
        "UPDATE jobs SET attempts = 8, starts = 8, fence = 8, last_error = 'away', waits_for = 'provider_away', run_at = clock_timestamp() + interval '1 hour'
                  WHERE transaction_id = $1";
    assert_eq!(app.db.execute(waits, &[&uuid(&id)]).await, 1);
    let db = app.db.pool().await;
    let all = Expedite::all(QueueName::Withdrawals, &WaitsFor::STRIPE);
    for (attempts, brought) in [(7, 0), (8, 1), (8, 0)] {
        let forward = Expedite { attempts, ..all };
        let conn = &mut db.conn().await.unwrap();
        let found = jobs::expedite(conn, forward, SystemClock.now()).await;
        assert_eq!(found.unwrap(), brought, "with at most {attempts} attempts");
    }
    let before = "UPDATE jobs SET waits_for = NULL, run_at = clock_timestamp() + interval '1 hour' WHERE transaction_id = $1";
    assert_eq!(app.db.execute(before, &[&uuid(&id)]).await, 1);
    let found = jobs::expedite(&mut db.conn().await.unwrap(), all, SystemClock.now()).await;
    assert_eq!(found.unwrap(), 1, "the version before names no reason");
    app.abandon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_without_an_answer_is_asked_again_under_its_key_before_it_is_given_up() {
    let app = TestApp::start().await;
    let (alice, wallet) = app.payee(1_000).await;
    for operation in ["transfers.create", "payouts.create"] {
        app.stripe
            .fault(json!({ "operation": operation, "nth": 1, "outcome": "hang_after" }))
            .await;
    }
    let amount = json!({ "amount": "10.00" });
    let id = id_of(&app.withdraw(&alice, &wallet, amount).await.data());
    eventually("the withdrawal to be paid", async || {
        app.transaction(&alice, &id).await["status"] == "COMPLETED"
    })
    .await;
    assert_eq!(app.stripe.fault_hits().await, [1, 1]);
    // Nobody was told to wait: both calls had their answer in the first run of their job.
    let waited = "transaction_events WHERE kind = 'waiting'";
    assert_eq!(app.db.count(waited).await, 0);
    for effect in ["transfer.create", "payout.create"] {
        assert_eq!(app.stripe.effects_of(&id, effect).await, 1, "{effect}");
    }
    app.finish().await;
}
