//! `Wallet`.

use async_graphql::{Context, Object};
use wallet_core::wallets::Wallet;

use super::connection::{PageRequest, TransactionConnection, page};
use super::{TransactionStatus, TransactionType};
use crate::context::ContextExt;
use crate::errors::ApiError;
use crate::graphql::scalars::{DateTime, Decimal};

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

    /// Spendable now.
    async fn balance(&self) -> Decimal {
        self.0.balance.into()
    }

    /// Held for withdrawals under way and disputes.
    async fn frozen_balance(&self) -> Decimal {
        self.0.frozen_balance.into()
    }

    /// Whether it may send and receive.
    async fn is_active(&self) -> bool {
        self.0.is_active
    }

    /// The owner's customer at Stripe, once a deposit made one.
    async fn stripe_customer_id(&self) -> Option<&str> {
        self.0.stripe_customer_id.as_deref()
    }

    /// When it was created.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime {
        self.0.updated_at.into()
    }

    /// Its transactions, newest first, also those that others sent to it.
    async fn transactions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, from 1 to 100; 20 when left out.")] first: Option<i32>,
        #[graphql(desc = "Those behind this cursor.")] after: Option<String>,
        #[graphql(name = "type", desc = "Only this type.")] transaction_type: Option<TransactionType>,
        #[graphql(desc = "Only this status.")] status: Option<TransactionStatus>,
    ) -> Result<TransactionConnection, ApiError> {
        let _turn = ctx.take_read().await?;
        let asked = PageRequest {
            first,
            after,
            transaction_type,
            status,
        };
        page(ctx.app()?, ctx.caller()?, &self.0, &asked).await
    }
}
