//! The requirement: under every fault that Stripe can have, with webhooks lost, doubled, late and out of order, whatever was accepted reaches
//! a final state, with one effect each at Stripe.

use std::collections::HashMap;
use std::time::Duration;

use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};
use wallet_tests::app::{Options, id_of};
use wallet_tests::money::major;
use wallet_tests::{Answer, TestApp, User};

use crate::hurry::{OPEN, all_end};

/// The seed: what is drawn from it is the same in every run; the order in which tasks run is not.
const SEED: u64 = 20_260_930;
const TRANSACTIONS: usize = 2_000;
/// The time limit after the last request; some minutes on two busy processors.
const PATIENCE: Duration = Duration::from_secs(500);
const PEOPLE: usize = 24;
/// The number of requests that are sent at once.
const WAVE: usize = 40;

/// Each of these goes wrong with a tenth of Stripe's answers. The first that hits applies, so that six calls in ten fail or come late.
const FAULTS: [&str; 9] = [
    "normal",
    "drop_before",
    "drop_after",
    "rate_limit",
    "lock_timeout",
    "key_in_use",
    "error_500",
    "error_500_after_effect",
    "error_503",
];
const SHARE: f64 = 0.1;

/// `SplitMix64` (<https://prng.di.unimi.it/splitmix64.c>).
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(limit).unwrap()).unwrap()
    }

    fn cents(&mut self, from: i64, below: i64) -> String {
        major(from + i64::try_from(self.below(usize::try_from(below - from).unwrap())).unwrap())
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// What a payer does with an intent.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Payer {
    Pays,
    IsDeclinedFirst,
    Leaves,
    Cancels,
}

/// An accepted request.
struct Made {
    id: String,
    /// The person who may cancel it.
    owner: usize,
    /// The person who may refund it.
    giver: Option<usize>,
}

enum Request {
    Deposit(Value, Option<Payer>),
    Withdraw,
    Transfer(usize),
    Pay(usize),
    Refund(String),
    Cancel(String),
}

struct World {
    app: TestApp,
    people: Vec<(User, String)>,
    draw: Draw,
    made: Vec<Made>,
    /// Intents that wait for their payers.
    payers: HashMap<String, (usize, Payer)>,
}

/// Orders every fault, of requests and of webhooks.
async fn order_faults(app: &TestApp) {
    for outcome in FAULTS {
        let latency = if outcome == "normal" { 100 } else { 0 };
        let fault =
            json!({ "path": "/v1/*", "outcome": outcome, "latency_ms": latency, "probability": SHARE });
        app.stripe.fault(fault).await;
    }
    for fault in [
        json!({ "drop": true, "probability": SHARE }),
        json!({ "duplicate": 2, "probability": SHARE }),
        json!({ "delay_ms": 700, "probability": SHARE }),
        json!({ "reorder_ms": 1_500, "probability": SHARE }),
    ] {
        app.stripe.webhook_fault(fault).await;
    }
}

impl World {
    async fn new() -> Self {
        let app = TestApp::with(Options {
            workers: 2,
            ..Options::default()
        })
        .await;
        let mut people = Vec::new();
        for _ in 0..PEOPLE {
            people.push(app.payee(20_000).await);
        }
        order_faults(&app).await;
        Self {
            app,
            people,
            draw: Draw(SEED),
            made: Vec::new(),
            payers: HashMap::new(),
        }
    }

    /// The next request, and the person who sends it.
    fn request(&mut self) -> (usize, String, Request) {
        let draw = &mut self.draw;
        let who = draw.below(PEOPLE);
        let amount = draw.cents(100, 3_000);
        let other = (who + 1 + draw.below(PEOPLE - 1)) % PEOPLE;
        let old = if self.made.is_empty() {
            None
        } else {
            Some(draw.of(&self.made))
        };
        let request = match (draw.below(100), old) {
            (0..12, _) => {
                let methods = [
                    "pm_card_visa",
                    "pm_card_mastercard",
                    "pm_card_chargeDeclined",
                    "pm_usBankAccount_success",
                    "pm_usBankAccount_insufficientFunds",
                ];
                let method = *draw.of(&methods);
                let kind = if method.starts_with("pm_us") {
                    "BANK_TRANSFER"
                } else {
                    "CREDIT_CARD"
                };
                Request::Deposit(
                    json!({ "amount": amount, "stripePaymentMethodId": method, "paymentMethod": kind }),
                    None,
                )
            }
            (12..24, _) => {
                let payer = *draw.of(&[
                    Payer::Pays,
                    Payer::Pays,
                    Payer::IsDeclinedFirst,
                    Payer::Leaves,
                    Payer::Cancels,
                ]);
                Request::Deposit(json!({ "amount": amount }), Some(payer))
            }
            (24..40, _) => Request::Withdraw,
            (40..58, _) => Request::Transfer(other),
            (58..78, _) => Request::Pay(other),
            (
                78..92,
                Some(Made {
                    id,
                    giver: Some(giver),
                    ..
                }),
            ) => return (*giver, amount, Request::Refund(id.clone())),
            (92.., Some(_)) => {
                // Somebody changes their mind soon.
                let late = self.made.len().saturating_sub(WAVE);
                let recent = draw.of(&self.made[late..]);
                return (recent.owner, amount, Request::Cancel(recent.id.clone()));
            }
            _ => Request::Withdraw,
        };
        (who, amount, request)
    }

    async fn sent(&self, who: usize, amount: &str, request: &Request) -> Answer {
        let (user, wallet) = &self.people[who];
        let to = |other: usize| json!({ "toWalletId": self.people[other].1, "amount": amount });
        match request {
            Request::Deposit(input, _) => self.app.deposit(user, wallet, input.clone()).await,
            Request::Withdraw => {
                let input = json!({ "amount": amount });
                self.app.withdraw(user, wallet, input).await
            }
            Request::Transfer(other) => self.app.transfer(user, wallet, to(*other)).await,
            Request::Pay(other) => self.app.pay(user, wallet, to(*other)).await,
            Request::Refund(id) => self.app.refund(user, id, json!({ "amount": amount })).await,
            Request::Cancel(id) => self.app.cancel(user, id).await,
        }
    }

    /// Sends some requests at once and records what was accepted.
    async fn wave(&mut self) {
        let requests: Vec<_> = (0..WAVE).map(|_| self.request()).collect();
        let world = &*self;
        let answers = join_all(
            requests
                .iter()
                .map(|(who, amount, request)| world.sent(*who, amount, request)),
        )
        .await;
        for ((who, _, request), answer) in requests.into_iter().zip(answers) {
            if let Some(code) = answer.code() {
                let is_expected = match request {
                    // A busy machine: nothing was accepted, and this client gives up.
                    _ if code == "SERVICE_UNAVAILABLE" => true,
                    Request::Deposit(..) => false,
                    Request::Refund(_) | Request::Cancel(_) => {
                        matches!(code, "INVALID_STATE" | "INSUFFICIENT_FUNDS")
                    }
                    _ => code == "INSUFFICIENT_FUNDS",
                };
                assert!(is_expected, "{answer:?}");
                continue;
            }
            let id = id_of(&answer.data());
            let giver = match request {
                Request::Cancel(_) => continue,
                Request::Deposit(_, payer) => {
                    if let Some(payer) = payer {
                        self.payers.insert(id.clone(), (who, payer));
                    }
                    Some(who)
                }
                Request::Pay(payee) => Some(payee),
                _ => None,
            };
            self.made.push(Made {
                id,
                owner: who,
                giver,
            });
        }
    }

    /// Lets payers act as soon as their intents exist.
    async fn pay_up(&mut self) {
        let waiting = "SELECT id::text, stripe_payment_intent_id FROM wallet_transactions WHERE stage = 'awaiting_payment'";
        for row in self.app.db.rows(waiting, &[]).await {
            let (id, intent): (String, String) = (row.get(0), row.get(1));
            let Some((who, payer)) = self.payers.remove(&id) else {
                continue;
            };
            let stripe = &self.app.stripe;
            match payer {
                Payer::Pays => {
                    stripe.confirm(&intent, "pm_card_visa").await;
                }
                Payer::IsDeclinedFirst => {
                    stripe.confirm(&intent, "pm_card_chargeDeclined").await;
                    stripe.confirm(&intent, "pm_card_visa").await;
                }
                Payer::Leaves => {}
                Payer::Cancels => {
                    let answer = self.app.cancel(&self.people[who].0, &id).await;
                    let code = answer.code();
                    assert!(
                        matches!(code, None | Some("INVALID_STATE" | "SERVICE_UNAVAILABLE")),
                        "{answer:?}"
                    );
                }
            }
        }
    }

    /// The results, by type and status.
    async fn ends(&self) -> HashMap<(String, String), i64> {
        let ends = "SELECT transaction_type::text, status::text, count(*) FROM wallet_transactions
                     WHERE reference IS DISTINCT FROM 'planted' GROUP BY 1, 2";
        self.app
            .db
            .rows(ends, &[])
            .await
            .iter()
            .map(|row| ((row.get(0), row.get(1)), row.get(2)))
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_under_every_fault_two_thousand_mixed_transactions_end_with_one_effect_each() {
    let mut world = World::new().await;
    while world.made.len() < TRANSACTIONS {
        world.wave().await;
        world.pay_up().await;
        world.app.advance(TimeDelta::seconds(20)).await;
    }
    // The clock is faster than the payers unless they come first.
    for _ in 0..40 {
        world.pay_up().await;
        world.app.advance(TimeDelta::seconds(20)).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    all_end(&world.app, PATIENCE, TimeDelta::hours(1)).await;
    assert_eq!(world.app.db.count(OPEN).await, 0);
    let ends = world.ends().await;
    let made: i64 = ends.values().sum();
    assert!(made >= i64::try_from(TRANSACTIONS).unwrap(), "{ends:?}");
    for (kind, status) in [
        ("deposit", "completed"),
        ("deposit", "failed"),
        ("deposit", "cancelled"),
        ("withdrawal", "completed"),
        ("transfer", "completed"),
        ("payment", "completed"),
        ("refund", "completed"),
    ] {
        let count = ends.get(&(kind.to_owned(), status.to_owned()));
        assert!(count.is_some(), "no {kind} is {status}: {ends:?}");
    }
    for list in ["faults", "webhook_faults"] {
        let rules = world.app.stripe.get(&format!("/_control/{list}")).await;
        for rule in rules.as_array().unwrap() {
            let (matched, hit) = (rule["matched"].as_u64().unwrap(), rule["hit"].as_u64().unwrap());
            assert!(hit * 100 > matched * 3, "too rare to mean something: {rule}");
        }
    }
    world.app.stripe.clear_faults().await;
    world.app.finish().await;
}
