//! The story: Ada pays money in and sends Ben his rent; Ben pays it out; one payout comes back.

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{Api, Payments, text};
use crate::say::say;

const CREATE: &str = "mutation CreateWallet($input: CreateWalletInput!) { createWallet(input: $input) { id userId balance isActive createdAt } }";
const DEPOSIT: &str = "mutation Deposit($walletId: String!, $input: DepositInput!) { deposit(walletId: $walletId, input: $input) { id amount status stripePaymentIntentId metadata } }";
const WITHDRAW: &str = "mutation Withdraw($walletId: String!, $input: WithdrawInput!) { withdraw(walletId: $walletId, input: $input) { id amount status stripeTransferId } }";
const TRANSFER: &str = "mutation Transfer($fromWalletId: String!, $input: TransferInput!) { transfer(fromWalletId: $fromWalletId, input: $input) { id amount status metadata } }";
const WALLET: &str = "query ($id: String!) { wallet(id: $id) { balance frozenBalance currency } }";

/// The people of the story and what they hold.
pub(super) struct Story {
    pub(super) ada: Api,
    pub(super) ben: Api,
    pub(super) ben_id: Uuid,
    pub(super) payments: Payments,
}

/// The two wallets.
struct Wallets {
    ada: String,
    ben: String,
    account: String,
}

impl Story {
    pub(super) async fn play(&self) -> Result<()> {
        let wallets = self.open().await.context("creating the wallets")?;
        self.deposit(&wallets).await.context("the deposit")?;
        self.transfer(&wallets).await.context("the transfer")?;
        self.overspend(&wallets)
            .await
            .context("the transfer of too much")?;
        self.withdraw(&wallets).await.context("the withdrawal")?;
        self.returned(&wallets)
            .await
            .context("the withdrawal that the bank sends back")?;
        say("\nEvery step did what it should, and every balance is right to the cent.\n");
        Ok(())
    }

    async fn open(&self) -> Result<Wallets> {
        step(
            1,
            "Ada (tenant) and Ben (landlord) each create a wallet; Ben names the account he is paid out to",
        );
        let account = self.payments.payee(self.ben_id).await?;
        let ada = self
            .ada
            .ask("createWallet", CREATE, json!({ "input": { "currency": "usd" } }))
            .await?;
        let input = json!({ "currency": "usd", "stripeAccountId": account,
            "bankDetails": { "accountName": "Ben Example", "accountNumber": "000123456789", "routingNumber": "110000000" } });
        let ben = self
            .ben
            .ask("createWallet", CREATE, json!({ "input": input }))
            .await?;
        let wallets = Wallets {
            ada: text(&ada, "id").to_owned(),
            ben: text(&ben, "id").to_owned(),
            account,
        };
        self.balances(&wallets, ["0.00", "0.00"], ["0.00", "0.00"])
            .await?;
        Ok(wallets)
    }

    async fn deposit(&self, wallets: &Wallets) -> Result<()> {
        step(
            2,
            "Ada deposits 100.00: the worker creates a payment intent, Ada's browser confirms it, Stripe's webhook credits it",
        );
        let input =
            json!({ "amount": "100.00", "description": "rent money", "idempotencyKey": Uuid::new_v4() });
        let variables = json!({ "walletId": wallets.ada, "input": input });
        let deposit = self.ada.ask("deposit", DEPOSIT, variables.clone()).await?;
        let id = text(&deposit, "id");
        told(&deposit);
        let again = self.ada.ask("deposit", DEPOSIT, variables).await?;
        if text(&again, "id") != id {
            bail!("the same idempotency key made a second deposit: {again}");
        }
        note("sent again with the same idempotency key: the same transaction");
        let ready = |now: &Value| !text(now, "clientSecret").is_empty();
        let waiting = self.ada.wait(id, "the client secret", ready).await?;
        note(&format!(
            "{} waits for the payer",
            text(&waiting, "stripePaymentIntentId")
        ));
        self.payments
            .pay(
                text(&waiting, "stripePaymentIntentId"),
                text(&waiting, "clientSecret"),
            )
            .await?;
        timeline(&self.ada.end(id, "COMPLETED").await?);
        self.balances(wallets, ["100.00", "0.00"], ["0.00", "0.00"]).await
    }

    async fn transfer(&self, wallets: &Wallets) -> Result<()> {
        step(3, "Ada sends Ben 60.00: one posting by a worker, no Stripe");
        let input = json!({ "toWalletId": wallets.ben, "amount": "60.00", "reference": "rent" });
        let transfer = self
            .ada
            .ask(
                "transfer",
                TRANSFER,
                json!({ "fromWalletId": wallets.ada, "input": input }),
            )
            .await?;
        told(&transfer);
        timeline(&self.ada.end(text(&transfer, "id"), "COMPLETED").await?);
        self.balances(wallets, ["40.00", "60.00"], ["0.00", "0.00"]).await
    }

    async fn overspend(&self, wallets: &Wallets) -> Result<()> {
        step(4, "Ada tries to send 1,000.00 and is refused; nothing changes");
        let input = json!({ "toWalletId": wallets.ben, "amount": "1000.00" });
        let code = self
            .ada
            .refused(TRANSFER, json!({ "fromWalletId": wallets.ada, "input": input }))
            .await?;
        if code != "INSUFFICIENT_FUNDS" {
            bail!("refused with {code}");
        }
        note(&format!("refused: {code}"));
        self.balances(wallets, ["40.00", "60.00"], ["0.00", "0.00"]).await
    }

    async fn withdraw(&self, wallets: &Wallets) -> Result<()> {
        step(
            5,
            "Ben withdraws 45.00: held, transferred to his account, paid out to his bank",
        );
        let id = self.start_withdrawal(wallets, "45.00").await?;
        timeline(&self.ben.end(&id, "COMPLETED").await?);
        self.balances(wallets, ["40.00", "15.00"], ["0.00", "0.00"]).await
    }

    async fn returned(&self, wallets: &Wallets) -> Result<()> {
        step(
            6,
            "Ben withdraws 10.00, but his bank sends it back: the transfer is reversed and the money is his again",
        );
        self.payments.payouts_wait(true).await?;
        let id = self.start_withdrawal(wallets, "10.00").await?;
        let paying = |now: &Value| {
            let lines = now.get("timeline").and_then(Value::as_array);
            lines.is_some_and(|lines| {
                lines
                    .iter()
                    .any(|line| text(line, "message").contains("payout to your bank"))
            })
        };
        self.ben.wait(&id, "the payout", paying).await?;
        self.balances(wallets, ["40.00", "5.00"], ["0.00", "10.00"])
            .await?;
        self.payments.send_back(&wallets.account).await?;
        let failed = self.ben.end(&id, "FAILED").await?;
        timeline(&failed);
        note(text(&failed, "failureReason"));
        self.payments.payouts_wait(false).await?;
        self.balances(wallets, ["40.00", "15.00"], ["0.00", "0.00"]).await
    }

    async fn start_withdrawal(&self, wallets: &Wallets, amount: &str) -> Result<String> {
        let input = json!({ "amount": amount, "accountName": "Ben Example" });
        let withdrawal = self
            .ben
            .ask(
                "withdraw",
                WITHDRAW,
                json!({ "walletId": wallets.ben, "input": input }),
            )
            .await?;
        told(&withdrawal);
        Ok(text(&withdrawal, "id").to_owned())
    }

    /// Shows and checks what both can spend and what is held.
    async fn balances(&self, wallets: &Wallets, spendable: [&str; 2], held: [&str; 2]) -> Result<()> {
        let people = [("Ada", &self.ada, &wallets.ada), ("Ben", &self.ben, &wallets.ben)];
        for ((name, api, wallet), (spendable, held)) in
            people.into_iter().zip(spendable.into_iter().zip(held))
        {
            let now = api.ask("wallet", WALLET, json!({ "id": wallet })).await?;
            let (balance, frozen) = (text(&now, "balance"), text(&now, "frozenBalance"));
            say(&format!("     {name}: {balance} spendable, {frozen} held"));
            if balance != spendable || frozen != held {
                bail!("{name} should have {spendable} spendable and {held} held, has {balance} and {frozen}");
            }
        }
        Ok(())
    }
}

fn step(number: u32, what: &str) {
    say(&format!("\n {number}.  {what}"));
}

fn note(what: &str) {
    say(&format!("     {what}"));
}

/// What the mutation answered at once.
fn told(transaction: &Value) {
    note(&format!(
        "accepted: {} {}",
        text(transaction, "status"),
        text(transaction, "id")
    ));
}

fn timeline(transaction: &Value) {
    for line in transaction
        .get("timeline")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        note(&format!("· {}", text(line, "message")));
    }
}
