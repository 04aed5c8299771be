//! People with wallets, money and a connected account.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::future::try_join_all;
use serde_json::{Value, json};
use uuid::Uuid;
use wallet_dev::token::{self, Role};

use super::ask::{Told, ask};
use super::journal::{Asked, Journal, Seen};
use crate::world::World;

/// The number of people: if a worker dies, the wallets of its job stay locked for half a minute, and the others must still be usable.
const PEOPLE: usize = 32;
/// The initial balance of each person, in cents.
const BEGINS_WITH: i64 = 500_000;

/// Generous, since nothing is measured before the load runs, and a busy machine may need this long for all first deposits at once.
const FIRST_DEPOSIT: Duration = Duration::from_secs(90);

/// The sender of a deposit: details that may exist only in the database, encrypted.
#[derive(Debug)]
pub(crate) struct Sender {
    /// The name as on the account.
    pub(crate) name: &'static str,
    /// The account's IBAN.
    pub(crate) iban: &'static str,
}

/// The same sender for all deposits: the checks search for these details at the end.
pub(crate) const SENDER: Sender = Sender {
    name: "Wilhelmina Kanarienvogel",
    iban: "DE02120300000000202051",
};

/// One person.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    /// The `sub` of the token.
    pub(crate) id: Uuid,
    /// The token.
    pub(crate) token: String,
    /// The wallet.
    pub(crate) wallet: Uuid,
}

/// Makes all people; each makes a deposit first.
pub(crate) async fn crowd(world: &Arc<World>, journal: &Arc<Journal>) -> Result<Vec<Person>> {
    try_join_all((0..PEOPLE).map(|number| person(world, journal, number))).await
}

async fn person(world: &World, journal: &Journal, number: usize) -> Result<Person> {
    let client = http()?;
    let api = world.apis.get(number % world.apis.len()).context("no API")?;
    let id = Uuid::new_v4();
    let token = token::issue(
        &world.secrets.jwt_secret,
        id,
        Role::User,
        Duration::from_secs(200_000),
    )?;
    let say = async |document: &str, variables: Value| {
        let start = Instant::now();
        loop {
            let patience = Duration::from_secs(30);
            match ask(&client, api, &token, document, &variables, patience).await {
                Told::Data(data) => return Ok(data),
                // All people are made at once: with few connections on a slow machine, some requests have to be repeated.
                Told::Unknown if start.elapsed() < patience => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                other => bail!("a person cannot be made: {other:?}"),
            }
        }
    };
    let made = say(
        "mutation($i: CreateWalletInput!) { createWallet(input: $i) { id } }",
        json!({ "i": { "currency": "usd" } }),
    )
    .await?;
    let wallet = id_at(&made, "/createWallet/id")?;
    say(
        "mutation($w: String!, $i: OnboardPayoutsInput!) { onboardPayouts(walletId: $w, input: $i) { payoutsEnabled } }",
        json!({ "w": wallet, "i": { "returnUrl": "https://example.com/a", "refreshUrl": "https://example.com/b" } }),
    )
    .await?;
    let key = format!("first-{number}");
    let deposit = say(
        "mutation($w: String!, $i: DepositInput!) { deposit(walletId: $w, input: $i) { id } }",
        json!({ "w": wallet, "i": { "amount": major(BEGINS_WITH), "stripePaymentMethodId": "pm_card_visa", "idempotencyKey": key } }),
    )
    .await?;
    let transaction = id_at(&deposit, "/deposit/id")?;
    {
        let mut book = journal.book();
        book.asked.insert(
            (id, key),
            Asked {
                kind: "deposit",
                wallet: Some(wallet),
                cents: Some(BEGINS_WITH),
                answered: Some(transaction),
                refused: None,
            },
        );
        book.seen.insert(
            transaction,
            Seen {
                person: number,
                ..Seen::default()
            },
        );
    }
    let start = Instant::now();
    loop {
        let found = say(
            "query($id: String!) { transaction(id: $id) { status } }",
            json!({ "id": transaction }),
        )
        .await?;
        if found.pointer("/transaction/status").and_then(Value::as_str) == Some("COMPLETED") {
            break;
        }
        if start.elapsed() > FIRST_DEPOSIT {
            bail!("the first deposit does not complete: {found}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(Person { id, token, wallet })
}

/// Returns the id at a place in an answer.
pub(super) fn id_at(answer: &Value, pointer: &str) -> Result<Uuid> {
    let text = answer.pointer(pointer).and_then(Value::as_str);
    let id = text.and_then(|text| text.parse().ok());
    id.with_context(|| format!("no id at {pointer} in {answer}"))
}

/// Formats cents as the API takes amounts.
pub(super) fn major(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// Makes an HTTP client; each request sets its own timeout.
pub(super) fn http() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder().no_proxy().build()?)
}
