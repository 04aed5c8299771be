//! A transaction as the domain sees it, and its row.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{CancelRequest, Canceller, Flow, PaymentMethod, Stage, TransactionStatus, TransactionType};
use crate::db::DbError;
use crate::db::schema::wallet_transactions;
use crate::ids::stripe::{
    AccountId, DisputeId, PaymentIntentId, PaymentMethodId, PayoutId, RefundId, StripeTransferId,
};
use crate::ids::{TransactionId, UserId, WalletId};
use crate::money::{Currency, Money};

/// One transaction. Secrets stay sealed here; opening them is up to the caller.
#[derive(Debug, Clone)]
pub struct Transaction {
    /// Its id.
    pub id: TransactionId,
    /// Its own wallet: the payer, or the payee of a deposit.
    pub wallet_id: WalletId,
    /// The wallet's owner.
    pub user_id: UserId,
    /// The kind of movement.
    pub transaction_type: TransactionType,
    /// The state machine that it walks.
    pub flow: Flow,
    /// How far it is, for clients.
    pub status: TransactionStatus,
    /// How far it is, exactly.
    pub stage: Stage,
    /// The amount that leaves the payer.
    pub amount: Money,
    /// The part of the amount that the platform keeps; for a refund, the part of the payment's fee that is returned.
    pub fee: Option<Money>,
    /// The client's own reference.
    pub reference: Option<String>,
    /// The other wallet of a transfer, a payment or the refund of a payment.
    pub counterparty_wallet_id: Option<WalletId>,
    /// The earlier transaction that this one follows, such as the one that it refunds or disputes.
    pub related_transaction_id: Option<TransactionId>,
    /// `pi_…` of a deposit.
    pub stripe_payment_intent_id: Option<PaymentIntentId>,
    /// `tr_…` of a withdrawal.
    pub stripe_transfer_id: Option<StripeTransferId>,
    /// `po_…` of a withdrawal.
    pub stripe_payout_id: Option<PayoutId>,
    /// `re_…` of a refund of a deposit.
    pub stripe_refund_id: Option<RefundId>,
    /// `du_…` of a dispute.
    pub stripe_dispute_id: Option<DisputeId>,
    /// The part of an external movement that the wallet's balance covered; the rest is owed.
    pub held: Option<Money>,
    /// What a dispute takes from its wallet (held, paid and owed together), which can differ from the disputed amount.
    pub claimed: Option<Money>,
    /// The requested amount, if another one was credited: for deposits that an operator has decided about.
    pub requested: Option<Money>,
    /// When Stripe makes a deposit's money available to the platform, once that is known.
    pub available_on: Option<DateTime<Utc>>,
    /// `acct_…` that a withdrawal goes to.
    pub stripe_account_id: Option<AccountId>,
    /// `pm_…` that a deposit is confirmed with by the server.
    pub stripe_payment_method_id: Option<PaymentMethodId>,
    /// Sealed secret with which the payer's client confirms a deposit.
    pub encrypted_client_secret: Option<String>,
    /// Sealed external account to pay out to.
    pub encrypted_bank_id: Option<String>,
    /// Sealed name of the holder of that account, as the owner gave it.
    pub encrypted_account_name: Option<String>,
    /// Sealed details about who sends a deposit.
    pub encrypted_sender_details: Option<String>,
    /// Sealed details about who receives a transfer: the sender's own notes, which the receiver does not see.
    pub encrypted_receiver_details: Option<String>,
    /// How a deposit is paid.
    pub payment_method: Option<PaymentMethod>,
    /// The client's own description.
    pub description: Option<String>,
    /// The client's own data.
    pub metadata: Option<serde_json::Value>,
    /// Why it failed or was cancelled: `CODE: sentence`.
    pub failure_reason: Option<String>,
    /// The first request to cancel it, kept until it is carried out or too late.
    pub cancel_request: Option<CancelRequest>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl Transaction {
    /// Creates a transaction as it is accepted: nothing has happened yet, and no other field is set.
    #[must_use]
    pub const fn accepted(
        id: TransactionId,
        flow: Flow,
        wallet_id: WalletId,
        user_id: UserId,
        amount: Money,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            id,
            wallet_id,
            user_id,
            transaction_type: flow.transaction_type(),
            flow,
            status: Stage::Accepted.status(),
            stage: Stage::Accepted,
            amount,
            fee: None,
            reference: None,
            counterparty_wallet_id: None,
            related_transaction_id: None,
            stripe_payment_intent_id: None,
            stripe_transfer_id: None,
            stripe_payout_id: None,
            stripe_refund_id: None,
            stripe_dispute_id: None,
            held: None,
            claimed: None,
            requested: None,
            available_on: None,
            stripe_account_id: None,
            stripe_payment_method_id: None,
            encrypted_client_secret: None,
            encrypted_bank_id: None,
            encrypted_account_name: None,
            encrypted_sender_details: None,
            encrypted_receiver_details: None,
            payment_method: None,
            description: None,
            metadata: None,
            failure_reason: None,
            cancel_request: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// Whether it is a dispute that the payer's bank has not decided.
    #[must_use]
    pub fn is_open_dispute(&self) -> bool {
        self.flow == Flow::Dispute && self.stage == Stage::Disputed
    }

    /// The wallets whose balances it may change, in the order in which they are locked.
    #[must_use]
    pub fn wallets(&self) -> Vec<WalletId> {
        let mut wallets: Vec<WalletId> = std::iter::once(self.wallet_id)
            .chain(self.counterparty_wallet_id)
            .collect();
        wallets.sort_unstable();
        wallets
    }
}

/// The row as diesel reads it.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = wallet_transactions)]
#[diesel(check_for_backend(diesel::pg::Pg))]
pub struct TransactionRow {
    id: Uuid,
    wallet_id: Uuid,
    user_id: Uuid,
    transaction_type: TransactionType,
    status: TransactionStatus,
    stage: Stage,
    amount: Decimal,
    fee: Option<Decimal>,
    currency: String,
    reference: Option<String>,
    counterparty_wallet_id: Option<Uuid>,
    related_transaction_id: Option<Uuid>,
    stripe_payment_intent_id: Option<PaymentIntentId>,
    stripe_transfer_id: Option<StripeTransferId>,
    stripe_payout_id: Option<PayoutId>,
    stripe_account_id: Option<AccountId>,
    stripe_payment_method_id: Option<PaymentMethodId>,
    encrypted_client_secret: Option<String>,
    encrypted_bank_id: Option<String>,
    encrypted_account_name: Option<String>,
    encrypted_sender_details: Option<String>,
    encrypted_receiver_details: Option<String>,
    payment_method: Option<PaymentMethod>,
    description: Option<String>,
    metadata: Option<serde_json::Value>,
    failure_reason: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    flow: Option<Flow>,
    held_amount: Option<Decimal>,
    stripe_refund_id: Option<RefundId>,
    stripe_dispute_id: Option<DisputeId>,
    available_on: Option<DateTime<Utc>>,
    claimed_amount: Option<Decimal>,
    requested_amount: Option<Decimal>,
    cancel_requested_at: Option<DateTime<Utc>>,
    cancel_requested_by: Option<Canceller>,
}

impl TryFrom<TransactionRow> for Transaction {
    type Error = DbError;

    fn try_from(row: TransactionRow) -> Result<Self, DbError> {
        let wrong = |column| DbError::inconsistent("wallet_transactions", column, row.id);
        let currency: Currency = row.currency.parse().map_err(|_| wrong("currency"))?;
        if row.stage.status() != row.status {
            return Err(wrong("status"));
        }
        let flow = row
            .flow
            .or_else(|| Flow::of_type(row.transaction_type))
            .filter(|flow| flow.transaction_type() == row.transaction_type)
            .ok_or_else(|| wrong("flow"))?;
        let money = |amount: Option<Decimal>, column| {
            amount
                .map(|amount| Money::new(amount, currency))
                .transpose()
                .map_err(|_| wrong(column))
        };
        let cancel_request = row
            .cancel_requested_at
            .zip(row.cancel_requested_by)
            .map(|(at, by)| CancelRequest { at, by });
        Ok(Self {
            id: TransactionId::from_uuid(row.id),
            wallet_id: WalletId::from_uuid(row.wallet_id),
            user_id: UserId::from_uuid(row.user_id),
            transaction_type: row.transaction_type,
            flow,
            status: row.status,
            stage: row.stage,
            amount: Money::new(row.amount, currency).map_err(|_| wrong("amount"))?,
            fee: money(row.fee, "fee")?,
            held: money(row.held_amount, "held_amount")?,
            claimed: money(row.claimed_amount, "claimed_amount")?,
            requested: money(row.requested_amount, "requested_amount")?,
            stripe_refund_id: row.stripe_refund_id,
            stripe_dispute_id: row.stripe_dispute_id,
            available_on: row.available_on,
            reference: row.reference,
            counterparty_wallet_id: row.counterparty_wallet_id.map(WalletId::from_uuid),
            related_transaction_id: row.related_transaction_id.map(TransactionId::from_uuid),
            stripe_payment_intent_id: row.stripe_payment_intent_id,
            stripe_transfer_id: row.stripe_transfer_id,
            stripe_payout_id: row.stripe_payout_id,
            stripe_account_id: row.stripe_account_id,
            stripe_payment_method_id: row.stripe_payment_method_id,
            encrypted_client_secret: row.encrypted_client_secret,
            encrypted_bank_id: row.encrypted_bank_id,
            encrypted_account_name: row.encrypted_account_name,
            encrypted_sender_details: row.encrypted_sender_details,
            encrypted_receiver_details: row.encrypted_receiver_details,
            payment_method: row.payment_method,
            description: row.description,
            metadata: row.metadata,
            failure_reason: row.failure_reason,
            cancel_request,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}
