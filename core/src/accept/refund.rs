//! Accepting a full or partial refund: of a payment, requested by its payee, or of a deposit, requested by its owner.

use serde::Serialize;

use super::idempotency::{self, Fingerprint, IdempotencyKey, KeyUse, Subject};
use super::{AcceptError, Acceptor, Caller, checks, text};
use crate::db::{PgConn, in_transaction};
use crate::ids::{TransactionId, WalletId};
use crate::jobs::JobKind;
use crate::money::Money;
use crate::transactions::{self, Flow, Requests, Stage, Transaction, left_of};
use crate::wallets;

/// A client's request for a refund.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RefundInput {
    /// The amount in major units, as written by the client; if left out, all that is left to refund.
    pub amount: Option<String>,
    /// The reason, in the client's own words.
    pub reason: Option<String>,
}

impl Acceptor {
    /// Accepts a refund of `transaction`.
    ///
    /// # Errors
    /// Any [`AcceptError`]; nothing is stored in that case.
    pub async fn refund(
        &self,
        caller: &Caller,
        transaction: &str,
        input: &RefundInput,
        key: Option<&IdempotencyKey>,
    ) -> Result<Transaction, AcceptError> {
        let original = checks::transaction_id(transaction)?;
        text::line("reason", input.reason.as_deref(), 1_000)?;
        let id = TransactionId::from_uuid(self.ids.next());
        let digester = self.digester().await?;
        let accepted = in_transaction!(self.db, conn => {
            let original = checks::seen_transaction(conn, caller, original).await?;
            let (flow, giver) = giver(&original)?;
            let wallet = wallets::find(conn, giver).await?.ok_or(AcceptError::WalletNotFound)?;
            if wallet.user_id != caller.user_id && !caller.role.repairs() {
                return Err(AcceptError::Forbidden(who_may(flow)));
            }
            let asked = input
                .amount
                .as_deref()
                .map(|amount| checks::amount(amount, original.amount.currency()))
                .transpose()?;
            let normal = RefundInput { amount: asked.map(|amount| amount.to_string()), ..input.clone() };
            let fingerprint = Fingerprint::of(&digester, "refund", &(original.id, normal));
            let subject = Subject::Transaction(id);
            if let KeyUse::Repeated(subject) =
                idempotency::take(conn, caller.user_id, key, &fingerprint, subject, self.clock.now()).await?
            {
                return Self::repeated(conn, subject).await;
            }
            let amount = refundable(conn, &original, asked).await?;
            checks::active(&wallet)?;
            checks::spendable(&wallet, given_at_least(&original, amount)?)?;
            let mut new = self.pending(id, flow, &wallet, amount);
            new.related_transaction_id = Some(original.id);
            new.description.clone_from(&input.reason);
            if flow == Flow::PaymentRefund {
                new.counterparty_wallet_id = Some(original.wallet_id);
            }
            let job = if flow == Flow::PaymentRefund { JobKind::Transfer } else { JobKind::RefundHold };
            Ok(self.write(conn, caller, &new, job).await?)
        })?;
        Ok(self.dispatched(accepted).await)
    }
}

/// The refusal of a caller who may not request this kind of refund: it says who may.
const fn who_may(flow: Flow) -> &'static str {
    match flow {
        Flow::PaymentRefund => "only the payee of a payment, or an operator, may refund it",
        _ => "only the owner of a deposit, or an operator, may refund it",
    }
}

/// Returns the refund's flow and the wallet that pays it: that of a payment's payee, or the deposit's own.
fn giver(original: &Transaction) -> Result<(Flow, WalletId), AcceptError> {
    match (original.flow, original.counterparty_wallet_id) {
        (Flow::Deposit, _) => Ok((Flow::DepositRefund, original.wallet_id)),
        (Flow::Payment, Some(payee)) => Ok((Flow::PaymentRefund, payee)),
        _ => Err(AcceptError::InvalidState(
            "only deposits and payments can be refunded".to_owned(),
        )),
    }
}

/// Returns the amount to refund, if that much is left; the worker checks this again when the money moves.
async fn refundable(
    conn: &mut PgConn,
    original: &Transaction,
    asked: Option<Money>,
) -> Result<Money, AcceptError> {
    let refused = |sentence: String| Err(AcceptError::InvalidState(sentence));
    if original.stage != Stage::Completed {
        return refused(format!("the {} is not completed", original.transaction_type));
    }
    let mut relatives = transactions::related_to(conn, original.id).await?;
    if relatives.iter().any(Transaction::is_open_dispute) {
        return refused("the payer's bank disputes this payment: its decision comes first".to_owned());
    }
    relatives.extend(transactions::returns_of(conn, &relatives).await?);
    let left = left_of(original, &relatives, Requests::Counted)
        .map_err(|error| AcceptError::InvalidState(error.to_string()))?;
    let amount = asked.unwrap_or(left);
    if left.is_zero() {
        return refused("nothing is left to refund".to_owned());
    }
    if amount.amount() > left.amount() {
        return refused(original.too_much(amount, left));
    }
    if original.flow == Flow::Deposit
        && amount.currency().whole_units_only()
        && !amount.amount().fract().is_zero()
    {
        return Err(AcceptError::validation(
            "amount",
            format!("must be whole {}", amount.currency()),
        ));
    }
    Ok(amount)
}

/// The minimum that the refunding wallet must have: the payee of a payment never received the fee.
fn given_at_least(original: &Transaction, amount: Money) -> Result<Money, AcceptError> {
    let fee = original.fee.unwrap_or_else(|| Money::zero(amount.currency()));
    let given = amount.at_most(fee).and_then(|part| amount.checked_sub(part));
    given.map_err(|error| AcceptError::InvalidState(error.to_string()))
}
