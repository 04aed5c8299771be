//! One story that runs every kind of job and every call to Stripe, for tests that disturb it.

use chrono::TimeDelta;
use serde_json::json;
use wallet_tests::app::{id_of, uuid};
use wallet_tests::{TestApp, User, eventually};

/// The transactions of a running story: all that a worker can be asked to do.
pub(crate) struct Story {
    pub(crate) alice: User,
    pub(crate) wallet: String,
    pub(crate) deposit: String,
    pub(crate) transfer: String,
    /// Will be paid.
    pub(crate) paid: String,
    /// Will be sent back by the bank.
    pub(crate) returned: String,
}

/// Alice's balance at the end, in cents: planted 200.00 + deposit 100.00 − transfer 30.00 − paid 20.00.
pub(crate) const LEFT: i64 = 25_000;

/// Sends every request; the bank account behind the second withdrawal does not exist, so Stripe refuses its payout.
pub(crate) async fn begin(app: &TestApp) -> Story {
    begin_of(app, people(app).await).await
}

/// Alice with money and a payout account, her wallet, and another person's wallet: a payout account is named while Stripe answers.
pub(crate) async fn people(app: &TestApp) -> (User, String, String) {
    let (alice, wallet) = app.payee(20_000).await;
    let (_, other) = app.owner(0).await;
    (alice, wallet, other)
}

/// The same story of people who already exist.
pub(crate) async fn begin_of(app: &TestApp, (alice, wallet, other): (User, String, String)) -> Story {
    let deposit = app
        .deposit(
            &alice,
            &wallet,
            json!({ "amount": "100.00", "stripePaymentMethodId": "pm_card_visa" }),
        )
        .await;
    let transfer = app.send(&alice, &wallet, &other, 3_000).await;
    let paid = app.withdraw(&alice, &wallet, json!({ "amount": "20.00" })).await;
    let returned = app
        .withdraw(
            &alice,
            &wallet,
            json!({ "amount": "50.00", "bankId": "ba_1nobodysbank" }),
        )
        .await;
    Story {
        deposit: id_of(&deposit.data()),
        paid: id_of(&paid.data()),
        returned: id_of(&returned.data()),
        alice,
        wallet,
        transfer,
    }
}

impl Story {
    /// Waits for the end of everything and checks it; time passes by `step` whenever all jobs wait.
    pub(crate) async fn end(&self, app: &TestApp, step: TimeDelta) {
        let open = "wallet_transactions WHERE status IN ('pending', 'processing')";
        app.hurry_until("the story to end", step, async || app.db.count(open).await == 0)
            .await;
        for id in [&self.deposit, &self.transfer, &self.paid] {
            app.completed(&self.alice, id).await;
        }
        app.failed(&self.alice, &self.returned).await;
        app.hurry_until("every job to be done", step, async || {
            app.db.count("jobs WHERE parked_at IS NULL").await == 0
        })
        .await;
        assert_eq!(app.balances(&self.alice, &self.wallet).await, (LEFT, 0));
        for (id, operation, times) in [
            (&self.deposit, "payment_intent.create", 1),
            (&self.deposit, "payment_intent.succeed", 1),
            (&self.paid, "transfer.create", 1),
            (&self.paid, "payout.create", 1),
            (&self.returned, "transfer.create", 1),
            (&self.returned, "transfer_reversal.create", 1),
        ] {
            assert_eq!(app.stripe.effects_of(id, operation).await, times, "{operation}");
        }
    }
}

/// Makes every job that is queued from now on look as if workers had claimed it and died, `starts` times.
pub(crate) async fn crash_every_job_before(app: &TestApp, starts: i32) {
    let function = format!(
        "CREATE FUNCTION crash() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            NEW.starts := {starts}; NEW.attempts := {starts}; NEW.fence := {starts};
            NEW.lease_owner := 'a dead worker'; NEW.lease_until := clock_timestamp() - interval '1 s';
            NEW.handed_over_at := clock_timestamp() - interval '1 min';
            RETURN NEW; END $$;
         CREATE TRIGGER crash BEFORE INSERT ON jobs FOR EACH ROW WHEN (NEW.kind NOT IN ('page_events', 'ask_stripe'))
            EXECUTE FUNCTION crash();"
    );
    app.db.client().await.batch_execute(&function).await.unwrap();
}

/// Waits until a job of this kind exists, and returns its number.
pub(crate) async fn job_of(app: &TestApp, transaction: &str, kind: &str) -> i64 {
    let sql = "SELECT max(id) FROM jobs WHERE transaction_id = $1 AND kind = $2";
    let mut found = None;
    eventually(&format!("a job {kind}"), async || {
        found = app
            .db
            .value::<Option<i64>>(sql, &[&uuid(transaction), &kind])
            .await;
        found.is_some()
    })
    .await;
    found.unwrap()
}
