//! Accepting a transfer, or a payment, from the caller's wallet to another one.

use crate::db::{PgConn, in_transaction};
use crate::fees;
use serde::Serialize;
use serde_json::Value;

use super::idempotency::{self, Fingerprint, IdempotencyKey, KeyUse, Subject};
use super::{AcceptError, Acceptor, Caller, checks, text};
use crate::ids::{TransactionId, UserId, WalletId};
use crate::jobs::JobKind;
use crate::money::Money;
use crate::transactions::{Flow, Transaction};
use crate::wallets;

/// A client's request for a transfer or a payment.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TransferInput {
    /// The receiving wallet.
    pub to_wallet_id: String,
    /// The amount in major units, as written by the client.
    pub amount: String,
    /// Details about the receiver; stored sealed.
    pub receiver_details: Option<Value>,
    /// The client's own description.
    pub description: Option<String>,
    /// The client's own reference.
    pub reference: Option<String>,
    /// The client's own data.
    pub metadata: Option<Value>,
}

impl Acceptor {
    /// Accepts a transfer out of `from`.
    ///
    /// # Errors
    /// Any [`AcceptError`]; nothing is stored in that case.
    pub async fn transfer(
        &self,
        caller: &Caller,
        from: &str,
        input: &TransferInput,
        key: Option<&IdempotencyKey>,
    ) -> Result<Transaction, AcceptError> {
        self.send(caller, Flow::Transfer, from, input, key).await
    }

    /// Accepts a payment out of `from`: a transfer from which the platform keeps a fee, by the payee's rule in [`crate::fees`].
    ///
    /// # Errors
    /// See [`Acceptor::transfer`].
    pub async fn pay(
        &self,
        caller: &Caller,
        from: &str,
        input: &TransferInput,
        key: Option<&IdempotencyKey>,
    ) -> Result<Transaction, AcceptError> {
        self.send(caller, Flow::Payment, from, input, key).await
    }

    async fn send(
        &self,
        caller: &Caller,
        flow: Flow,
        from: &str,
        input: &TransferInput,
        key: Option<&IdempotencyKey>,
    ) -> Result<Transaction, AcceptError> {
        let from = checks::wallet_id(from)?;
        text::description(input.description.as_deref())?;
        text::reference(input.reference.as_deref())?;
        text::object("metadata", input.metadata.as_ref())?;
        text::object("receiverDetails", input.receiver_details.as_ref())?;
        let id = TransactionId::from_uuid(self.ids.next());
        let details = input.receiver_details.as_ref().map(Value::to_string);
        let receiver_details = self
            .seal(
                "wallet_transactions",
                "encrypted_receiver_details",
                id.uuid(),
                caller.user_id,
                details,
            )
            .await?;
        let digester = self.digester().await?;
        let accepted = in_transaction!(self.db, conn => {
            let who_may = "only the owner of a wallet may send money from it";
            let wallet = checks::own_wallet(conn, caller, from, who_may).await?;
            let amount = checks::amount(&input.amount, wallet.currency())?;
            let normal = TransferInput {
                amount: amount.to_string(),
                to_wallet_id: payee_id(input)?.to_string(),
                ..input.clone()
            };
            let fingerprint = Fingerprint::of(&digester, flow.as_str(), &(from, normal));
            let subject = Subject::Transaction(id);
            if let KeyUse::Repeated(subject) =
                idempotency::take(conn, caller.user_id, key, &fingerprint, subject, self.clock.now()).await?
            {
                return Self::repeated(conn, subject).await;
            }
            let to = payee_id(input)?;
            if to == from {
                return Err(AcceptError::validation("toWalletId", "must be another wallet than the sending one"));
            }
            checks::active(&wallet)?;
            let payee = wallets::find(conn, to).await?.ok_or(AcceptError::PayeeNotFound)?;
            if !payee.is_active {
                return Err(AcceptError::PayeeInactive);
            }
            if payee.currency() != wallet.currency() {
                return Err(AcceptError::CurrencyMismatch);
            }
            checks::spendable(&wallet, amount)?;
            let mut new = self.pending(id, flow, &wallet, amount);
            if flow == Flow::Payment {
                new.fee = Some(fee(conn, amount, payee.user_id).await?);
            }
            new.counterparty_wallet_id = Some(to);
            new.encrypted_receiver_details.clone_from(&receiver_details);
            new.description.clone_from(&input.description);
            new.reference.clone_from(&input.reference);
            new.metadata.clone_from(&input.metadata);
            Ok(self.write(conn, caller, &new, JobKind::Transfer).await?)
        })?;
        Ok(self.dispatched(accepted).await)
    }
}

/// Parses the id of the receiving wallet. A malformed id is treated like one that does not exist.
fn payee_id(input: &TransferInput) -> Result<WalletId, AcceptError> {
    input.to_wallet_id.parse().map_err(|_| AcceptError::PayeeNotFound)
}

/// Returns the fee that the platform will keep; refuses a payment that would leave nothing for the payee.
async fn fee(conn: &mut PgConn, amount: Money, payee: UserId) -> Result<Money, AcceptError> {
    let Some(rule) = fees::rule_for(conn, amount.currency(), payee).await? else {
        return Ok(Money::zero(amount.currency()));
    };
    let fee = rule
        .fee_of(amount)
        .map_err(|error| AcceptError::InvalidState(format!("the fee rule does not fit: {error}")))?;
    if fee.amount() >= amount.amount() {
        return Err(AcceptError::validation(
            "amount",
            format!("must be above the fee of {fee}"),
        ));
    }
    Ok(fee)
}
