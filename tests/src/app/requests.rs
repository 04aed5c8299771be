//! The requests of tests to a running system through its public interface, and waiting for their results.

use serde_json::{Value, json};
use uuid::Uuid;

use super::TestApp;
use crate::money::{cents, major};
use crate::poll::{eventually, until};
use crate::{Answer, User, webhook};

/// The fields of a transaction that tests read.
const FIELDS: &str = "id walletId userId transactionType status amount fee currency reference description metadata paymentMethod \
    stripePaymentIntentId stripeTransferId clientSecret counterpartyWalletId relatedTransactionId direction failureReason createdAt updatedAt \
    timeline { kind message detail at }";

impl TestApp {
    /// Sends a GraphQL operation as `user`.
    pub async fn gql(&self, user: &User, query: &str, variables: Value) -> Answer {
        self.post(
            Some(&user.token),
            &json!({ "query": query, "variables": variables }),
            &[],
        )
        .await
    }

    /// Sends any JSON to the GraphQL route, with additional headers.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn post(&self, token: Option<&str>, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.client.post(format!("{}/graphql", self.base)).json(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        Answer {
            status: response.status().as_u16(),
            body: response.json().await.unwrap_or_default(),
        }
    }

    /// Delivers an event's body with a signature header and returns the status.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn deliver(&self, header: Option<&str>, body: impl Into<Vec<u8>>) -> u16 {
        let mut request = self
            .client
            .post(format!("{}/wallet/webhook", self.base))
            .body(body.into());
        if let Some(header) = header {
            request = request.header("stripe-signature", header);
        }
        request.send().await.unwrap().status().as_u16()
    }

    /// Delivers an event now, as Stripe would, and returns the status.
    pub async fn deliver_signed(&self, event: &Value) -> u16 {
        let body = event.to_string();
        let header = webhook::header(body.as_bytes());
        self.deliver(Some(&header), body).await
    }

    /// Creates a wallet and returns its id.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn wallet(&self, user: &User, input: Value) -> String {
        let query = "mutation($input: CreateWalletInput!) { createWallet(input: $input) { id } }";
        self.gql(user, query, json!({ "input": input })).await.data()["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Requests a deposit.
    pub async fn deposit(&self, user: &User, wallet: &str, input: Value) -> Answer {
        let query = format!(
            "mutation($w: String!, $i: DepositInput!) {{ deposit(walletId: $w, input: $i) {{ {FIELDS} }} }}"
        );
        self.gql(user, &query, json!({ "w": wallet, "i": input })).await
    }

    /// Requests a withdrawal.
    pub async fn withdraw(&self, user: &User, wallet: &str, input: Value) -> Answer {
        let query = format!(
            "mutation($w: String!, $i: WithdrawInput!) {{ withdraw(walletId: $w, input: $i) {{ {FIELDS} }} }}"
        );
        self.gql(user, &query, json!({ "w": wallet, "i": input })).await
    }

    /// Requests a transfer.
    pub async fn transfer(&self, user: &User, from: &str, input: Value) -> Answer {
        let query = format!(
            "mutation($w: String!, $i: TransferInput!) {{ transfer(fromWalletId: $w, input: $i) {{ {FIELDS} }} }}"
        );
        self.gql(user, &query, json!({ "w": from, "i": input })).await
    }

    /// Requests a payment.
    pub async fn pay(&self, user: &User, from: &str, input: Value) -> Answer {
        let query =
            format!("mutation($w: String!, $i: PayInput!) {{ pay(walletId: $w, input: $i) {{ {FIELDS} }} }}");
        self.gql(user, &query, json!({ "w": from, "i": input })).await
    }

    /// Requests a refund.
    pub async fn refund(&self, user: &User, transaction: &str, input: Value) -> Answer {
        let query = format!(
            "mutation($t: String!, $i: RefundInput!) {{ refund(transactionId: $t, input: $i) {{ {FIELDS} }} }}"
        );
        self.gql(user, &query, json!({ "t": transaction, "i": input }))
            .await
    }

    /// Requests the cancellation of a transaction.
    pub async fn cancel(&self, user: &User, transaction: &str) -> Answer {
        let query =
            format!("mutation($t: String!) {{ cancelTransaction(transactionId: $t) {{ {FIELDS} }} }}");
        self.gql(user, &query, json!({ "t": transaction })).await
    }

    /// Makes a deposit of so many cents that is paid with this payment method, and returns its id once it is completed.
    ///
    /// # Panics
    /// If it does not complete.
    pub async fn deposited(&self, user: &User, wallet: &str, amount: i64, method: &str) -> String {
        let input = json!({ "amount": major(amount), "stripePaymentMethodId": method });
        let id = id_of(&self.deposit(user, wallet, input).await.data());
        self.completed(user, &id).await;
        id
    }

    /// Waits for the only transaction that relates to another one, and returns it as `user` sees it.
    ///
    /// # Panics
    /// If there is none.
    pub async fn relative(&self, user: &User, of: &str) -> Value {
        let related = "SELECT id::text FROM wallet_transactions WHERE related_transaction_id = $1";
        let id: String = until(&format!("a transaction that relates to {of}"), async || {
            let rows = self.db.rows(related, &[&uuid(of)]).await;
            rows.first().map(|row| row.get(0))
        })
        .await;
        self.transaction(user, &id).await
    }

    /// Requests a transfer of so many cents, which must be accepted, and returns its id.
    pub async fn send(&self, user: &User, from: &str, to: &str, amount: i64) -> String {
        let input = json!({ "toWalletId": to, "amount": major(amount) });
        id_of(&self.transfer(user, from, input).await.data())
    }

    /// A transaction as `user` sees it, or null if `user` sees none.
    pub async fn transaction(&self, user: &User, id: &str) -> Value {
        let query = format!("query($id: String!) {{ transaction(id: $id) {{ {FIELDS} }} }}");
        self.gql(user, &query, json!({ "id": id })).await.data()
    }

    /// Waits until a transaction is final and returns it.
    ///
    /// # Panics
    /// If it does not end.
    pub async fn ended(&self, user: &User, id: &str) -> Value {
        until(&format!("transaction {id} to end"), async || {
            let found = self.transaction(user, id).await;
            matches!(
                found["status"].as_str(),
                Some("COMPLETED" | "FAILED" | "CANCELLED")
            )
            .then_some(found)
        })
        .await
    }

    /// Waits until a transaction is completed and returns it.
    ///
    /// # Panics
    /// If it ends otherwise, or does not end.
    pub async fn completed(&self, user: &User, id: &str) -> Value {
        let ended = self.ended(user, id).await;
        assert_eq!(ended["status"], "COMPLETED", "{ended:#}");
        ended
    }

    /// Waits until a transaction has failed and returns it.
    ///
    /// # Panics
    /// If it ends otherwise, or does not end.
    pub async fn failed(&self, user: &User, id: &str) -> Value {
        let ended = self.ended(user, id).await;
        assert_eq!(ended["status"], "FAILED", "{ended:#}");
        ended
    }

    /// Waits until a transaction is at a stage.
    ///
    /// # Panics
    /// If it does not reach the stage.
    pub async fn at_stage(&self, id: &str, stage: &str) {
        let at = "SELECT stage = $2 FROM wallet_transactions WHERE id = $1";
        eventually(&format!("{id} to be {stage}"), async || {
            self.db.value(at, &[&uuid(id), &stage]).await
        })
        .await;
    }

    /// The id of a Stripe object on a transaction, by its column.
    ///
    /// # Panics
    /// If there is none.
    pub async fn stripe_id(&self, transaction: &str, column: &str) -> String {
        let sql = format!("SELECT {column} FROM wallet_transactions WHERE id = $1");
        self.db.value(&sql, &[&uuid(transaction)]).await
    }

    /// The connected account that a wallet is paid out to.
    ///
    /// # Panics
    /// If it has none.
    pub async fn account_of(&self, wallet: &str) -> String {
        let sql = "SELECT stripe_account_id FROM wallets WHERE id = $1";
        self.db.value(sql, &[&uuid(wallet)]).await
    }

    /// Waits until the timeline of a transaction says so, and returns the transaction.
    ///
    /// # Panics
    /// If it does not.
    pub async fn told(&self, user: &User, id: &str, words: &str) -> Value {
        until(&format!("the timeline of {id} to say: {words}"), async || {
            let found = self.transaction(user, id).await;
            found["timeline"].to_string().contains(words).then_some(found)
        })
        .await
    }

    /// What the owner of a wallet owes the platform, in cents.
    pub async fn owed(&self, wallet: &str) -> i64 {
        let sql = "SELECT (100 * owed_balance)::bigint FROM wallets WHERE id = $1";
        self.db.value(sql, &[&uuid(wallet)]).await
    }

    /// The spendable and held cents of a wallet, as its owner sees them.
    pub async fn balances(&self, user: &User, wallet: &str) -> (i64, i64) {
        let query = "query($id: String!) { wallet(id: $id) { balance frozenBalance } }";
        let found = self.gql(user, query, json!({ "id": wallet })).await.data();
        (
            cents(found["balance"].as_str().unwrap()),
            cents(found["frozenBalance"].as_str().unwrap()),
        )
    }
}

/// The id in a transaction or wallet.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn id_of(object: &Value) -> String {
    object["id"]
        .as_str()
        .unwrap_or_else(|| panic!("no id: {object}"))
        .to_owned()
}

/// An id as a parameter of SQL.
///
/// # Panics
/// If it is no UUID.
#[must_use]
pub fn uuid(id: &str) -> Uuid {
    id.parse().unwrap_or_else(|_| panic!("no id: {id}"))
}
