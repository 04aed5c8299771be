//! A client: sends requests of every kind with idempotency keys, and repeats each until it is answered.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::ask::{self, Told, ask};
use super::journal::{Asked, Journal};
use super::person::{Person, SENDER, http, id_at, major};
use crate::seed;
use crate::world::World;

/// F04: the work that a client requested continues without the client.
pub(super) const HANGS_UP: &str = "F04 client hangs up";

/// Clients wait while this many requests are not final.
const MOST_UNFINISHED: usize = 120;
/// A person makes no further request while this many of theirs are not final.
const MOST_UNFINISHED_OF_ONE: usize = 5;

/// One client; it makes requests for all people in turn.
pub(super) struct Client {
    world: Arc<World>,
    people: Arc<Vec<Person>>,
    journal: Arc<Journal>,
    number: usize,
    pause: Duration,
    random: ChaCha8Rng,
    http: reqwest::Client,
}

/// A request that can be sent repeatedly.
struct Request {
    kind: &'static str,
    field: &'static str,
    document: String,
    variables: Value,
    person: usize,
    wallet: Option<Uuid>,
    cents: Option<i64>,
    to_be_paid: bool,
}

impl Client {
    pub(super) fn new(
        world: &Arc<World>,
        people: &Arc<Vec<Person>>,
        journal: &Arc<Journal>,
        number: usize,
        pause: Duration,
    ) -> Self {
        Self {
            random: seed::stream(world.seed, &format!("client {number}")),
            http: http().unwrap_or_default(),
            world: Arc::clone(world),
            people: Arc::clone(people),
            journal: Arc::clone(journal),
            number,
            pause,
        }
    }

    /// Makes requests until told to stop; a keyed request is repeated until it is answered, even after that.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut count = 0_u32;
        while !stop.is_cancelled() {
            // A slow machine gets less to do, so that no backlog forms that has nothing to do with faults.
            if self.journal.unfinished() >= MOST_UNFINISHED {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
            count += 1;
            let key = format!("c{}-{count}", self.number);
            if let Some(request) = self.choose()
                && self.journal.unfinished_of(request.person) < MOST_UNFINISHED_OF_ONE
            {
                self.carry_out(request, key).await;
            }
            let pause = self.pause.mul_f64(self.random.random());
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn choose(&mut self) -> Option<Request> {
        let random = &mut self.random;
        let person = random.random_range(0..self.people.len());
        // Half of all transfers are between pairs of people, in both directions, so that rows and locks are contended.
        let other = if random.random_bool(0.5) {
            person ^ 1
        } else {
            (person + 1) % self.people.len()
        };
        let (us, them) = (self.people.get(person)?, self.people.get(other)?);
        let cents = random.random_range(100..3_000);
        let base = |kind, field, document: &str, variables| Request {
            kind,
            field,
            document: document.to_owned(),
            variables,
            person,
            wallet: Some(us.wallet),
            cents: Some(cents),
            to_be_paid: false,
        };
        let amount = major(cents);
        Some(match random.random_range(0..100) {
            0..35 => base(
                "transfer",
                "/transfer/id",
                "mutation($w: String!, $i: TransferInput!) { transfer(fromWalletId: $w, input: $i) { id } }",
                json!({ "w": us.wallet, "i": { "toWalletId": them.wallet, "amount": amount } }),
            ),
            35..47 => base(
                "payment",
                "/pay/id",
                "mutation($w: String!, $i: PayInput!) { pay(walletId: $w, input: $i) { id } }",
                json!({ "w": us.wallet, "i": { "toWalletId": them.wallet, "amount": amount } }),
            ),
            47..62 => {
                let method = *pick(
                    random,
                    &[
                        "pm_card_visa",
                        "pm_card_visa",
                        "pm_card_visa",
                        "pm_card_chargeDeclined",
                        "pm_usBankAccount_success",
                    ],
                )?;
                let method_kind = if method.starts_with("pm_us") {
                    "BANK_TRANSFER"
                } else {
                    "CREDIT_CARD"
                };
                base(
                    "deposit",
                    "/deposit/id",
                    "mutation($w: String!, $i: DepositInput!) { deposit(walletId: $w, input: $i) { id } }",
                    json!({ "w": us.wallet, "i": { "amount": amount, "paymentMethod": method_kind, "stripePaymentMethodId": method,
                        "senderDetails": { "name": SENDER.name, "iban": SENDER.iban } } }),
                )
            }
            62..72 => Request {
                to_be_paid: true,
                ..base(
                    "deposit",
                    "/deposit/id",
                    "mutation($w: String!, $i: DepositInput!) { deposit(walletId: $w, input: $i) { id } }",
                    json!({ "w": us.wallet, "i": { "amount": amount, "paymentMethod": "CREDIT_CARD" } }),
                )
            },
            72..85 => base(
                "withdrawal",
                "/withdraw/id",
                "mutation($w: String!, $i: WithdrawInput!) { withdraw(walletId: $w, input: $i) { id } }",
                json!({ "w": us.wallet, "i": { "amount": amount } }),
            ),
            85..91 => self.refund_of_deposit()?,
            91..96 => self.refund_of_payment()?,
            _ => self.cancel()?,
        })
    }

    fn refund(&self, person: usize, of: Uuid, cents: i64) -> Request {
        Request {
            kind: "refund",
            field: "/refund/id",
            document:
                "mutation($t: String!, $i: RefundInput!) { refund(transactionId: $t, input: $i) { id } }"
                    .to_owned(),
            variables: json!({ "t": of, "i": { "amount": major(cents) } }),
            person,
            wallet: None,
            cents: Some(cents),
            to_be_paid: false,
        }
    }

    fn refund_of_deposit(&mut self) -> Option<Request> {
        let (person, of) = {
            let book = self.journal.book();
            let paid = pick(&mut self.random, &book.paid)?;
            (book.seen.get(&paid.transaction)?.person, paid.transaction)
        };
        // This is often more than is left of it, and several refunds run at once.
        let cents = self.random.random_range(100..1_500);
        Some(self.refund(person, of, cents))
    }

    fn refund_of_payment(&mut self) -> Option<Request> {
        let often = self.random.random_bool(0.5);
        let (payee, of) = {
            let book = self.journal.book();
            // Every other time, one of the first payments is chosen, of which soon nothing is left.
            let among = if often {
                book.payments.get(..3).unwrap_or(&book.payments)
            } else {
                &book.payments
            };
            *pick(&mut self.random, among)?
        };
        let cents = self.random.random_range(100..800);
        Some(self.refund(payee, of, cents))
    }

    fn cancel(&mut self) -> Option<Request> {
        let (person, of) = {
            let book = self.journal.book();
            let waiting: Vec<(usize, Uuid)> = book
                .seen
                .iter()
                .rev()
                .take(60)
                .filter(|(_, seen)| seen.end.is_none())
                .map(|(id, seen)| (seen.person, *id))
                .collect();
            *pick(&mut self.random, &waiting)?
        };
        Some(Request {
            kind: "cancel",
            field: "/cancelTransaction/id",
            document: "mutation($t: String!) { cancelTransaction(transactionId: $t) { id } }".to_owned(),
            variables: json!({ "t": of }),
            person,
            wallet: None,
            cents: None,
            to_be_paid: false,
        })
    }

    async fn carry_out(&mut self, mut request: Request, key: String) {
        let Some(person) = self.people.get(request.person).cloned() else {
            return;
        };
        let place = (person.id, key.clone());
        let keyed = request.kind != "cancel";
        if keyed {
            if let Some(input) = request.variables.get_mut("i").and_then(Value::as_object_mut) {
                input.insert("idempotencyKey".to_owned(), Value::String(key));
            }
            self.journal.book().asked.insert(
                place.clone(),
                Asked {
                    kind: request.kind,
                    wallet: request.wallet,
                    cents: request.cents,
                    answered: None,
                    refused: None,
                },
            );
        }
        let tally = self.world.tally.clone();
        let mut tries = 0_u32;
        loop {
            tries += 1;
            if tries == 1 && self.random.random_bool(0.08) {
                self.hang_up(&person, &request).await;
                if !keyed {
                    return;
                }
                continue;
            }
            match self.send(&person, &request, Duration::from_secs(5)).await {
                Told::Data(data) => {
                    let Ok(id) = id_at(&data, request.field) else {
                        tally.checked("answers", [format!("{} was answered by {data}", request.kind)]);
                        return;
                    };
                    tally.count("requests answered", 1);
                    if keyed {
                        self.remember(&place, id, &request);
                        if self.random.random_bool(0.1) {
                            self.repeat(&person, request, id).await;
                        }
                    }
                    return;
                }
                Told::Refused(code) => {
                    tally.count(&format!("refused: {code}"), 1);
                    if code == "INTERNAL" {
                        // This is no answer: the request may have been accepted.
                        tally.count("answers INTERNAL", 1);
                    } else {
                        if let Some(asked) = self.journal.book().asked.get_mut(&place) {
                            asked.refused = Some(code);
                        }
                        return;
                    }
                }
                Told::Unknown => tally.count("requests without an answer", 1),
            }
            if !keyed {
                return;
            }
            tokio::time::sleep(Duration::from_millis(self.random.random_range(50..300))).await;
        }
    }

    async fn send(&mut self, person: &Person, request: &Request, patience: Duration) -> Told {
        let Some(api) = pick(&mut self.random, &self.world.apis).cloned() else {
            return Told::Unknown;
        };
        ask(
            &self.http,
            &api,
            &person.token,
            &request.document,
            &request.variables,
            patience,
        )
        .await
    }

    /// Sends a request and hangs up. Reached if the API had the whole request and was still processing it.
    async fn hang_up(&mut self, person: &Person, request: &Request) {
        let patience = Duration::from_millis(self.random.random_range(1..25));
        let Some(api) = pick(&mut self.random, &self.world.apis).cloned() else {
            return;
        };
        let (document, variables) = (&request.document, &request.variables);
        let hung = ask::hang_up(&api, &person.token, document, variables, patience).await;
        self.world.tally.ordered(HANGS_UP);
        if let Ok(true) = hung {
            self.world.tally.reached(HANGS_UP, 1);
        }
    }

    fn remember(&self, place: &(Uuid, String), id: Uuid, request: &Request) {
        let mut book = self.journal.book();
        if let Some(asked) = book.asked.get_mut(place) {
            asked.answered = Some(id);
        }
        let seen = book.seen.entry(id).or_default();
        seen.person = request.person;
        seen.to_be_paid = request.to_be_paid;
    }

    /// I9: repeats a request; the same key and body must return the same transaction, and another body must be refused.
    async fn repeat(&mut self, person: &Person, mut request: Request, id: Uuid) {
        let differs = self.random.random_bool(0.3);
        if differs && let Some(input) = request.variables.get_mut("i").and_then(Value::as_object_mut) {
            input.insert("amount".to_owned(), json!("7.77"));
        }
        let wrong = match self.send(person, &request, Duration::from_secs(5)).await {
            Told::Data(data) if differs => {
                Some(format!("another body under the key of {id} was accepted: {data}"))
            }
            Told::Data(data) => {
                let again = id_at(&data, request.field).ok();
                (again != Some(id)).then(|| format!("{id} was answered by {again:?} the second time"))
            }
            Told::Refused(code) if differs => (code != "IDEMPOTENCY_CONFLICT")
                .then(|| format!("another body under the key of {id}: {code}")),
            Told::Refused(code) if code == "INTERNAL" => None,
            Told::Refused(code) => Some(format!("{id} was refused the second time: {code}")),
            Told::Unknown => return,
        };
        self.world
            .tally
            .checked("I9 the same key, the same answer", wrong);
    }
}

/// Draws one of several, or returns `None` if there are none.
pub(super) fn pick<'a, T>(random: &mut ChaCha8Rng, from: &'a [T]) -> Option<&'a T> {
    if from.is_empty() {
        return None;
    }
    from.get(random.random_range(0..from.len()))
}
