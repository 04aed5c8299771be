//! Single requests for scripted scenarios, recorded in the journal like all others.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use uuid::Uuid;

use super::Load;
use super::ask::{Told, ask};
use super::journal::Asked;
use super::person::{http, id_at, major};
use crate::world::World;

/// The kind of a single request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Single {
    /// A transfer to the next person.
    Transfer,
    /// A withdrawal to the bank.
    Withdrawal,
    /// A deposit by a card that the server confirms.
    Deposit,
}

impl Load {
    /// Sends one request of a person until it is answered, and returns its transaction.
    pub(crate) async fn send(&self, world: &World, what: Single, person: usize, cents: i64) -> Result<Uuid> {
        let from = self.people.get(person).context("no such person")?;
        let to = self
            .people
            .get((person + 1) % self.people.len())
            .context("nobody else")?;
        let key = format!("single-{}", Uuid::new_v4());
        let amount = major(cents);
        let (kind, field, document, input) = match what {
            Single::Transfer => (
                "transfer",
                "/transfer/id",
                "mutation($w: String!, $i: TransferInput!) { transfer(fromWalletId: $w, input: $i) { id } }",
                json!({ "toWalletId": to.wallet, "amount": amount, "idempotencyKey": key }),
            ),
            Single::Withdrawal => (
                "withdrawal",
                "/withdraw/id",
                "mutation($w: String!, $i: WithdrawInput!) { withdraw(walletId: $w, input: $i) { id } }",
                json!({ "amount": amount, "idempotencyKey": key }),
            ),
            Single::Deposit => (
                "deposit",
                "/deposit/id",
                "mutation($w: String!, $i: DepositInput!) { deposit(walletId: $w, input: $i) { id } }",
                json!({ "amount": amount, "stripePaymentMethodId": "pm_card_visa", "idempotencyKey": key }),
            ),
        };
        let place = (from.id, key);
        self.journal.book().asked.insert(
            place.clone(),
            Asked {
                kind,
                wallet: Some(from.wallet),
                cents: Some(cents),
                answered: None,
                refused: None,
            },
        );
        let client = http()?;
        let variables = json!({ "w": from.wallet, "i": input });
        for attempt in 0..100 {
            let api = world.apis.get(attempt % world.apis.len()).context("no API")?;
            match ask(
                &client,
                api,
                &from.token,
                document,
                &variables,
                Duration::from_secs(5),
            )
            .await
            {
                Told::Data(data) => {
                    let id = id_at(&data, field)?;
                    let mut book = self.journal.book();
                    if let Some(asked) = book.asked.get_mut(&place) {
                        asked.answered = Some(id);
                    }
                    book.seen.entry(id).or_default().person = person;
                    return Ok(id);
                }
                Told::Refused(code) => bail!("a {kind} was refused: {code}"),
                Told::Unknown => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
        bail!("a {kind} has no answer")
    }
}
