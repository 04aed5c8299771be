//! A person who watches their transactions and pays their deposits: I21, what was seen as final never changes.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::ask::{Told, ask};
use super::client::pick;
use super::journal::{Journal, Paid};
use super::person::{Person, http};
use crate::seed;
use crate::world::World;

/// The maximum number of unfinished transactions read in one request.
const AT_ONCE: usize = 10;

/// Watches one person's transactions until `stop`.
pub(super) async fn run(
    world: Arc<World>,
    people: Arc<Vec<Person>>,
    number: usize,
    journal: Arc<Journal>,
    stop: CancellationToken,
) {
    let mut random = seed::stream(world.seed, &format!("watcher {number}"));
    let (Ok(http), Some(person)) = (http(), people.get(number)) else {
        return;
    };
    while !stop.is_cancelled() {
        let mut ids: Vec<Uuid> = Vec::new();
        {
            let book = journal.book();
            let ours: Vec<(&Uuid, bool)> = book
                .seen
                .iter()
                .filter(|(_, seen)| seen.person == number)
                .map(|(id, seen)| (id, seen.end.is_some()))
                .collect();
            ids.extend(
                ours.iter()
                    .filter(|(_, ended)| !ended)
                    .take(AT_ONCE)
                    .map(|(id, _)| **id),
            );
            // Some finished ones are included: their status must not change.
            for _ in 0..3 {
                if let Some((id, true)) = pick(&mut random, &ours) {
                    ids.push(**id);
                }
            }
        }
        if let Some(api) = pick(&mut random, &world.apis)
            && !ids.is_empty()
        {
            look(
                &world,
                &http,
                api,
                &people,
                person,
                &ids,
                &journal,
                random.random_bool(0.2),
            )
            .await;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(Duration::from_millis(150)) => {}
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "one call with what a look needs")]
async fn look(
    world: &World,
    http: &reqwest::Client,
    api: &str,
    people: &[Person],
    person: &Person,
    ids: &[Uuid],
    journal: &Journal,
    declines_first: bool,
) {
    let fields: Vec<String> = ids
        .iter()
        .enumerate()
        .map(|(at, id)| {
            format!("t{at}: transaction(id: \"{id}\") {{ id status transactionType direction stripePaymentIntentId counterpartyWalletId clientSecret }}")
        })
        .collect();
    let document = format!("{{ {} }}", fields.join(" "));
    let told = ask(
        http,
        api,
        &person.token,
        &document,
        &json!({}),
        Duration::from_secs(5),
    )
    .await;
    let Told::Data(data) = told else { return };
    let mut to_pay = Vec::new();
    let mut wrong = Vec::new();
    {
        let mut book = journal.book();
        for (at, id) in ids.iter().enumerate() {
            let found = data.get(format!("t{at}")).cloned().unwrap_or_default();
            let Some(status) = found.get("status").and_then(Value::as_str) else {
                wrong.push(format!("{id} was accepted and is not there: {found}"));
                continue;
            };
            let is_final = matches!(status, "COMPLETED" | "FAILED" | "CANCELLED");
            let intent = found.get("stripePaymentIntentId").and_then(Value::as_str);
            let Some(seen) = book.seen.get_mut(id) else {
                continue;
            };
            match &seen.end {
                Some(end) if end != status => wrong.push(format!("{id} was {end} and is {status}")),
                None if is_final => {
                    seen.end = Some(status.to_owned());
                    if status == "COMPLETED" {
                        remember(&mut book, people, *id, &found);
                    }
                }
                None if seen.to_be_paid && !seen.paid && intent.is_some() => {
                    seen.paid = true;
                    to_pay.extend(intent.map(|intent| (*id, intent.to_owned())));
                }
                // This is a late payer: a cancelled intent must take no money.
                Some(end) if end == "CANCELLED" && seen.to_be_paid && !seen.paid && intent.is_some() => {
                    seen.paid = true;
                    to_pay.extend(intent.map(|intent| (*id, intent.to_owned())));
                }
                _ => {}
            }
        }
    }
    world.tally.checked("I21 what is final stays", wrong);
    for (id, intent) in to_pay {
        if declines_first {
            let _ = world.stripe.pay(&intent, "pm_card_chargeDeclined").await;
        }
        let paid = world.stripe.pay(&intent, "pm_card_visa").await;
        // 400: the intent was cancelled in the meantime.
        if !matches!(paid, Ok(200 | 400 | 402))
            && let Some(seen) = journal.book().seen.get_mut(&id)
        {
            seen.paid = false;
        }
    }
}

/// Remembers what can be refunded later.
fn remember(book: &mut super::journal::Book, people: &[Person], id: Uuid, found: &Value) {
    let text = |name: &str| found.get(name).and_then(Value::as_str);
    match (text("transactionType"), text("stripePaymentIntentId")) {
        (Some("DEPOSIT"), Some(intent)) => book.paid.push(Paid {
            intent: intent.to_owned(),
            transaction: id,
        }),
        (Some("PAYMENT"), _) => {
            // Only the payee can refund a payment. Its payer sees it too, with the payee as the counterparty.
            let other = text("counterpartyWalletId").and_then(|wallet| wallet.parse::<Uuid>().ok());
            let payee = people.iter().position(|person| Some(person.wallet) == other);
            book.payments.extend(payee.map(|payee| (payee, id)));
        }
        _ => {}
    }
}
