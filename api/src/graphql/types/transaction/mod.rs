//! `WalletTransaction`, as its owner, its counterparty or the staff sees it.

use async_graphql::{Context, Object};
use secrecy::ExposeSecret;
use wallet_core::accept::Caller;
use wallet_core::crypto::{KeyOwner, Place, Sealed};
use wallet_core::ids::WalletId;
use wallet_core::transactions::{self, Flow, Stage, TimelineEntry, Transaction};

use super::details::{Detail, Shown, json_of, masked_name, masked_number};
use super::event::TransactionEvent;
use super::{Direction, FailureCode, PaymentMethod, TransactionFlow, TransactionStatus, TransactionType};
use crate::context::ContextExt;
use crate::errors::ApiError;
use crate::graphql::scalars::{DateTime, Decimal};

/// The caller's relation to a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    /// The caller owns it and sees everything.
    Owner,
    /// The caller is support or above and sees everything but what only the owner may use.
    Staff,
    /// The caller owns the other wallet and sees the row without what is private to the owner.
    Counterparty,
}

/// A transaction that the caller may see.
#[derive(Debug, Clone)]
pub(crate) struct WalletTransaction {
    row: Transaction,
    seen_from: WalletId,
    relation: Relation,
    /// The part of its timeline that was read with its page, or `None` if the timeline is read separately.
    timeline: Option<Vec<TimelineEntry>>,
}

impl WalletTransaction {
    /// Creates a transaction of the history of `wallet`, which `caller` may see, with its `timeline` if that was read with the page.
    pub(crate) fn in_wallet(
        row: Transaction,
        wallet: WalletId,
        caller: &Caller,
        timeline: Option<Vec<TimelineEntry>>,
    ) -> Self {
        let relation = relation(&row, caller);
        Self {
            row,
            seen_from: wallet,
            relation,
            timeline,
        }
    }

    /// Creates a single transaction: seen from the caller's own wallet, or for staff from the owner's.
    pub(crate) fn alone(row: Transaction, caller: &Caller) -> Self {
        let relation = relation(&row, caller);
        let seen_from = match (relation, row.counterparty_wallet_id) {
            (Relation::Counterparty, Some(other)) => other,
            _ => row.wallet_id,
        };
        Self {
            row,
            seen_from,
            relation,
            timeline: None,
        }
    }

    /// Returns whether this caller may read the timeline of a transaction.
    pub(crate) fn shows_timeline(row: &Transaction, caller: &Caller) -> bool {
        relation(row, caller) != Relation::Counterparty
    }

    /// Returns its type.
    pub(crate) const fn kind(&self) -> wallet_core::transactions::TransactionType {
        self.row.transaction_type
    }

    fn is_hidden(&self) -> bool {
        self.relation == Relation::Counterparty
    }

    fn way(&self) -> Direction {
        let from_owner = self.seen_from == self.row.wallet_id;
        match self.row.flow {
            Flow::Deposit | Flow::RefundReturn | Flow::PayoutReturn | Flow::DisputeReturn => Direction::In,
            Flow::Withdrawal
            | Flow::DepositRefund
            | Flow::OutsideRefund
            | Flow::Dispute
            | Flow::DisputeLoss
            | Flow::DebtPayment => Direction::Out,
            // From the wallet that requested it, or that refunds it, to the other one.
            Flow::Transfer | Flow::Payment | Flow::PaymentRefund if from_owner => Direction::Out,
            Flow::Transfer | Flow::Payment | Flow::PaymentRefund => Direction::In,
        }
    }

    /// Returns a sealed detail of this row.
    fn detail<'a>(&self, column: &'static str, sealed: Option<&'a str>) -> Detail<'a> {
        Detail {
            table: "wallet_transactions",
            column,
            row: self.row.id.uuid(),
            owner: self.row.user_id,
            wallet: self.row.wallet_id,
            transaction: Some(self.row.id),
            sealed,
        }
    }

    /// Returns the sealed client secret, if the payer still needs it and the caller is the payer.
    fn sealed_secret(&self) -> Option<&str> {
        let waits = self.row.flow == Flow::Deposit && self.row.stage == Stage::AwaitingPayment;
        let sealed = self.row.encrypted_client_secret.as_deref();
        sealed.filter(|_| waits && self.relation == Relation::Owner)
    }
}

fn relation(row: &Transaction, caller: &Caller) -> Relation {
    if row.user_id == caller.user_id {
        Relation::Owner
    } else if caller.role.reads_others() {
        Relation::Staff
    } else {
        Relation::Counterparty
    }
}

/// A movement of money, from the moment it was accepted.
#[Object]
impl WalletTransaction {
    /// Its id.
    async fn id(&self) -> String {
        self.row.id.to_string()
    }

    /// The wallet that requested it: the payer, the payee of a deposit, or the one that gives a refund.
    async fn wallet_id(&self) -> String {
        self.row.wallet_id.to_string()
    }

    /// The owner of that wallet.
    async fn user_id(&self) -> String {
        self.row.user_id.to_string()
    }

    /// The kind of the transaction.
    async fn transaction_type(&self) -> TransactionType {
        self.row.transaction_type.into()
    }

    /// The exact kind of the transaction: for a REFUND, whether it is a refund, a dispute, money that came back, or a debt that is paid.
    async fn flow(&self) -> TransactionFlow {
        self.row.flow.into()
    }

    /// How far it has progressed.
    async fn status(&self) -> TransactionStatus {
        self.row.status.into()
    }

    /// The amount that leaves the payer; for a payment's refund, the amount that returns to the payer.
    async fn amount(&self) -> Decimal {
        self.row.amount.into()
    }

    /// The requested amount, if a different one was received and credited, which is then the amount.
    async fn requested_amount(&self) -> Option<Decimal> {
        self.row.requested.map(Into::into)
    }

    /// The amount that a dispute takes from the wallet, if it can differ from the disputed one: held, paid and owed together.
    async fn claimed_amount(&self) -> Option<Decimal> {
        self.row.claimed.map(Into::into)
    }

    /// The part of the amount that the platform keeps; for a payment's refund, the part of the fee that the platform returns.
    async fn fee(&self) -> Option<Decimal> {
        self.row.fee.map(Into::into)
    }

    /// ISO 4217 code in lower case.
    async fn currency(&self) -> &str {
        self.row.amount.currency().code()
    }

    /// The client's own reference.
    async fn reference(&self) -> Option<&str> {
        self.row.reference.as_deref()
    }

    /// The description in the client's own words.
    async fn description(&self) -> Option<&str> {
        self.row.description.as_deref()
    }

    /// The client's own data; hidden from the counterparty.
    async fn metadata(&self) -> Option<&serde_json::Value> {
        self.row.metadata.as_ref().filter(|_| !self.is_hidden())
    }

    /// How a deposit is paid.
    async fn payment_method(&self) -> Option<PaymentMethod> {
        self.row.payment_method.map(Into::into)
    }

    /// The payment intent of a deposit, once the worker has it.
    async fn stripe_payment_intent_id(&self) -> Option<&str> {
        self.row.stripe_payment_intent_id.as_ref().map(|id| id.as_str())
    }

    /// The transfer of a withdrawal to the connected account, once the worker has it.
    async fn stripe_transfer_id(&self) -> Option<&str> {
        self.row.stripe_transfer_id.as_ref().map(|id| id.as_str())
    }

    /// The secret with which the payer's client confirms a deposit that waits for the payer; for the owner only.
    async fn client_secret(&self, ctx: &Context<'_>) -> Result<Option<String>, ApiError> {
        let Some(sealed) = self.sealed_secret() else {
            return Ok(None);
        };
        let sealed = Sealed::parse(sealed).map_err(ApiError::internal)?;
        let owner = KeyOwner::User(self.row.user_id);
        let place = Place::new(
            "wallet_transactions",
            "encrypted_client_secret",
            self.row.id,
            owner,
        );
        let secret = ctx.app()?.vault.open(&place, &sealed).await?;
        Ok(Some(secret.expose_secret().to_owned()))
    }

    /// About the sender of a deposit, as its owner stated it; masked in lists. Staff read it one transaction at a time, on record.
    async fn sender_details(&self, ctx: &Context<'_>) -> Result<Option<serde_json::Value>, ApiError> {
        let sealed = self.row.encrypted_sender_details.as_deref();
        json_of(self.detail("encrypted_sender_details", sealed).open(ctx).await?)
    }

    /// About the receiver of a transfer, as its sender stated it; hidden from the receiver. Masked in lists. Staff read it one
    /// transaction at a time, on record.
    async fn receiver_details(&self, ctx: &Context<'_>) -> Result<Option<serde_json::Value>, ApiError> {
        let sealed = self.row.encrypted_receiver_details.as_deref();
        json_of(
            self.detail("encrypted_receiver_details", sealed)
                .open(ctx)
                .await?,
        )
    }

    /// The account holder given for a withdrawal; masked in lists. Staff read it one transaction at a time, on record.
    async fn account_name(&self, ctx: &Context<'_>) -> Result<Option<String>, ApiError> {
        let sealed = self.row.encrypted_account_name.as_deref();
        let opened = self.detail("encrypted_account_name", sealed).open(ctx).await?;
        Ok(opened.map(|(name, shown)| match shown {
            Shown::Full => name.expose_secret().to_owned(),
            Shown::Masked => masked_name(name.expose_secret()),
        }))
    }

    /// The external account given for a withdrawal; masked in lists. Staff read it one transaction at a time, on record.
    async fn bank_id(&self, ctx: &Context<'_>) -> Result<Option<String>, ApiError> {
        let sealed = self.row.encrypted_bank_id.as_deref();
        let opened = self.detail("encrypted_bank_id", sealed).open(ctx).await?;
        Ok(opened.map(|(id, shown)| match shown {
            Shown::Full => id.expose_secret().to_owned(),
            Shown::Masked => masked_number(id.expose_secret()),
        }))
    }

    /// The other wallet of a transfer, of a payment or of a payment's refund.
    async fn counterparty_wallet_id(&self) -> Option<String> {
        self.row.counterparty_wallet_id.map(|id| id.to_string())
    }

    /// The transaction whose money this one returns: for refunds, disputes, and money that came back of those and of payouts.
    /// For money taken for a debt, the transaction that caused the debt.
    async fn related_transaction_id(&self) -> Option<String> {
        self.row.related_transaction_id.map(|id| id.to_string())
    }

    /// IN or OUT, seen from the wallet in the request.
    async fn direction(&self) -> Direction {
        self.way()
    }

    /// Why it failed or was cancelled, "CODE: sentence"; hidden from the counterparty.
    async fn failure_reason(&self) -> Option<&str> {
        self.row.failure_reason.as_deref().filter(|_| !self.is_hidden())
    }

    /// The code of failureReason; hidden from the counterparty.
    async fn failure_code(&self) -> Option<FailureCode> {
        let reason = self.row.failure_reason.as_deref().filter(|_| !self.is_hidden())?;
        transactions::FailureCode::of_reason(reason).map(Into::into)
    }

    /// Every step, attempt and answer of Stripe, oldest first; empty for the counterparty.
    async fn timeline(&self, ctx: &Context<'_>) -> Result<Vec<TransactionEvent>, ApiError> {
        if self.is_hidden() {
            return Ok(Vec::new());
        }
        if let Some(entries) = &self.timeline {
            return Ok(entries.iter().cloned().map(Into::into).collect());
        }
        let _turn = ctx.take_reads(1).await?;
        let mut conn = ctx.app()?.db.conn().await?;
        let entries = transactions::timeline(&mut conn, self.row.id).await?;
        Ok(entries.into_iter().map(Into::into).collect())
    }

    /// When it was accepted.
    async fn created_at(&self) -> DateTime {
        self.row.created_at.into()
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime {
        self.row.updated_at.into()
    }
}

#[cfg(test)]
mod tests;
