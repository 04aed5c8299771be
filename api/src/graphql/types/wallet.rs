//! The type `Wallet`.

use async_graphql::{Context, Object, SimpleObject};
use secrecy::ExposeSecret;
use wallet_core::accept;
use wallet_core::wallets::Wallet;

use super::connection::{PageRequest, TransactionConnection, page};
use super::debts::{self, WalletDebt};
use super::details::{Detail, Shown, masked_name, masked_number};
use super::{TransactionStatus, TransactionType};
use crate::context::ContextExt;
use crate::errors::ApiError;
use crate::graphql::scalars::{DateTime, Decimal};

/// The bank account to which a person is paid, as they gave it.
#[derive(Debug, SimpleObject)]
pub(crate) struct BankDetails {
    /// The account holder's name.
    account_name: String,
    /// The account's number or IBAN.
    account_number: String,
    /// The bank's routing number.
    routing_number: Option<String>,
    /// The bank's name.
    bank_name: Option<String>,
    /// The country, a code of two letters.
    country: Option<String>,
}

impl BankDetails {
    fn of(details: accept::BankDetails, shown: Shown) -> Self {
        let name = |text: String| match shown {
            Shown::Full => text,
            Shown::Masked => masked_name(&text),
        };
        let number = |text: String| match shown {
            Shown::Full => text,
            Shown::Masked => masked_number(&text),
        };
        Self {
            account_name: name(details.account_name),
            account_number: number(details.account_number),
            routing_number: details.routing_number.map(number),
            bank_name: details.bank_name,
            country: details.country,
        }
    }
}

/// A wallet that the caller may see.
#[derive(Debug, Clone)]
pub(crate) struct WalletNode(pub(crate) Wallet);

/// A wallet: one person's money in one currency.
#[Object(name = "Wallet")]
impl WalletNode {
    /// Its id.
    async fn id(&self) -> String {
        self.0.id.to_string()
    }

    /// Its owner.
    async fn user_id(&self) -> String {
        self.0.user_id.to_string()
    }

    /// ISO 4217 code in lower case.
    async fn currency(&self) -> &str {
        self.0.currency().code()
    }

    /// The money that can be spent now.
    async fn balance(&self) -> Decimal {
        self.0.balance.into()
    }

    /// Money that is held for withdrawals, refunds and disputes under way.
    async fn frozen_balance(&self) -> Decimal {
        self.0.frozen_balance.into()
    }

    /// What the owner owes the platform in this currency, over all wallets: for disputes, and refunds made at Stripe, that could not be
    /// covered. Money that becomes spendable in any of the wallets pays it first.
    async fn owed_balance(&self, ctx: &Context<'_>) -> Result<Decimal, ApiError> {
        Ok(debts::of(ctx, &self.0).await?.total.into())
    }

    /// The owner's debts in this currency: one entry for each transaction that caused a part of them, newest first for each wallet.
    async fn debts(&self, ctx: &Context<'_>) -> Result<Vec<WalletDebt>, ApiError> {
        debts::of(ctx, &self.0).await?.causes(ctx).await
    }

    /// Whether it may send and receive.
    async fn is_active(&self) -> bool {
        self.0.is_active
    }

    /// The owner's customer at Stripe, once a deposit has created one.
    async fn stripe_customer_id(&self) -> Option<&str> {
        self.0.stripe_customer_id.as_ref().map(|id| id.as_str())
    }

    /// The bank account to which its owner is paid, as given; masked in lists. Staff read it one wallet at a time, on record.
    async fn bank_details(&self, ctx: &Context<'_>) -> Result<Option<BankDetails>, ApiError> {
        let detail = Detail {
            table: "wallets",
            column: "encrypted_bank_details",
            row: self.0.id.uuid(),
            owner: self.0.user_id,
            wallet: self.0.id,
            transaction: None,
            sealed: self.0.encrypted_bank_details.as_deref(),
        };
        let Some((text, shown)) = detail.open(ctx).await? else {
            return Ok(None);
        };
        let details: accept::BankDetails =
            serde_json::from_str(text.expose_secret()).map_err(ApiError::internal)?;
        Ok(Some(BankDetails::of(details, shown)))
    }

    /// When it was created.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime {
        self.0.updated_at.into()
    }

    /// Its transactions, newest first, including those that others sent to it.
    async fn transactions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, from 1 to 100; 20 when left out.")] first: Option<i32>,
        #[graphql(desc = "Those behind this cursor.")] after: Option<String>,
        #[graphql(name = "type", desc = "Only this type.")] transaction_type: Option<TransactionType>,
        #[graphql(desc = "Only this status.")] status: Option<TransactionStatus>,
    ) -> Result<TransactionConnection, ApiError> {
        let with_timelines = ["nodes", "edges"].into_iter().any(|list| {
            let rows = ctx.look_ahead().field(list);
            rows.field("timeline").exists() || rows.field("node").field("timeline").exists()
        });
        let _turn = ctx.take_reads(1 + usize::from(with_timelines)).await?;
        let asked = PageRequest {
            first,
            after,
            transaction_type,
            status,
        };
        page(ctx.app()?, ctx.caller()?, &self.0, &asked, with_timelines).await
    }
}
