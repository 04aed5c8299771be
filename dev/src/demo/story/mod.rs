//! The story: Ada deposits money and sends Ben his rent; Ben withdraws it; some of it comes back, in every way that money can.
//!
//! One file per chapter. After every step the spendable and the held balance of both are checked to the cent.

mod bank;
mod dashboard;
mod deposits;
mod disputes;
mod payees;
mod sending;
mod words;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::client::{Api, Payments, text};
use crate::say::say;
use words::{Steps, note, told};

const CREATE: &str = "mutation CreateWallet($input: CreateWalletInput!) { createWallet(input: $input) { id userId balance isActive createdAt } }";
const WALLET: &str = "query ($id: String!) { wallet(id: $id) { balance frozenBalance currency } }";

/// The clients that the story needs.
pub(super) struct Cast {
    pub(super) ada: Api,
    pub(super) ben: Api,
    pub(super) payments: Payments,
}

/// Ada or Ben, with a wallet.
struct Person {
    name: &'static str,
    api: Api,
    wallet: String,
}

/// The state of the story.
struct Story {
    ada: Person,
    ben: Person,
    payments: Payments,
    steps: Steps,
}

/// The expected balances of a wallet: spendable and held.
type Purse = (&'static str, &'static str);

/// Plays the whole story.
pub(super) async fn play(cast: Cast) -> Result<()> {
    let story = Story::open(cast).await.context("creating the wallets")?;
    let rent = story.deposit().await.context("the deposit")?;
    story.cancelled_deposit().await.context("the cancelled deposit")?;
    story.transfer().await.context("the transfer")?;
    story.overspend().await.context("the transfer of too much")?;
    let payment = story.pay().await.context("the payment with a fee")?;
    story
        .refund_payment(&payment)
        .await
        .context("the refund of the payment")?;
    story
        .refund_deposit(&rent)
        .await
        .context("the refund of the deposit")?;
    let account = story.onboard().await.context("the opening of payouts")?;
    let withdrawal = story.withdraw().await.context("the withdrawal")?;
    story
        .returned_late(&withdrawal, &account)
        .await
        .context("the payout that comes back after it was paid")?;
    story
        .returned(&account)
        .await
        .context("the payout that the bank refuses")?;
    story.dispute_won().await.context("the dispute that is won")?;
    let dispute = story.dispute_lost().await.context("the dispute that is lost")?;
    let last = story
        .debt_caught(&dispute)
        .await
        .context("the debt that is collected")?;
    story
        .refund_in_dashboard(&last)
        .await
        .context("the refund made in Stripe's dashboard")?;
    say("\nEvery step did what it should, and every balance is right to the cent.\n");
    Ok(())
}

impl Story {
    async fn open(cast: Cast) -> Result<Self> {
        let steps = Steps::default();
        steps.next("Ada (tenant) and Ben (landlord) each create a wallet");
        let story = Self {
            ada: Person::open("Ada", cast.ada, json!({ "currency": "usd" })).await?,
            ben: Person::open(
                "Ben",
                cast.ben,
                json!({ "currency": "usd",
                    "bankDetails": { "accountName": "Ben Example", "accountNumber": "000123456789", "routingNumber": "110000000" } }),
            )
            .await?,
            payments: cast.payments,
            steps,
        };
        story.balances(("0.00", "0.00"), ("0.00", "0.00")).await?;
        Ok(story)
    }

    /// Prints and checks what both can spend and what is held.
    async fn balances(&self, ada: Purse, ben: Purse) -> Result<()> {
        self.ada.holds(ada).await?;
        self.ben.holds(ben).await
    }
}

impl Person {
    async fn open(name: &'static str, api: Api, input: Value) -> Result<Self> {
        let wallet = api.ask("createWallet", CREATE, json!({ "input": input })).await?;
        let wallet = text(&wallet, "id").to_owned();
        Ok(Self { name, api, wallet })
    }

    async fn holds(&self, (spendable, held): Purse) -> Result<()> {
        let name = self.name;
        let now = self
            .api
            .ask("wallet", WALLET, json!({ "id": self.wallet }))
            .await?;
        let (balance, frozen) = (text(&now, "balance"), text(&now, "frozenBalance"));
        note(&format!("{name}: {balance} spendable, {frozen} held"));
        if balance != spendable || frozen != held {
            bail!("{name} should have {spendable} spendable and {held} held, has {balance} and {frozen}");
        }
        Ok(())
    }

    /// Sends a mutation about the person's own wallet and prints the response; returns the transaction's id.
    async fn order(&self, field: &str, document: &str, input: Value) -> Result<String> {
        let variables = json!({ "walletId": self.wallet, "input": input });
        let accepted = self.api.ask(field, document, variables).await?;
        told(&accepted);
        Ok(text(&accepted, "id").to_owned())
    }
}

/// Fails when a field of a transaction has another value than expected.
fn expect(transaction: &Value, field: &str, expected: &str) -> Result<()> {
    if text(transaction, field) != expected {
        bail!("{field} should be {expected}: {transaction}");
    }
    Ok(())
}
