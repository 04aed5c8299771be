//! A wallet as the domain sees it, and its row.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::db::DbError;
use crate::db::schema::wallets;
use crate::ids::stripe::{AccountId, CustomerId};
use crate::ids::{UserId, WalletId};
use crate::money::{Currency, Money};

/// One wallet. Its bank details stay sealed.
#[derive(Debug, Clone)]
pub struct Wallet {
    /// Its id.
    pub id: WalletId,
    /// Its owner.
    pub user_id: UserId,
    /// The spendable balance.
    pub balance: Money,
    /// The held balance: for withdrawals and refunds under way, and for disputes.
    pub frozen_balance: Money,
    /// `cus_…` of its owner, once a deposit has created one.
    pub stripe_customer_id: Option<CustomerId>,
    /// `acct_…` that withdrawals go to.
    pub stripe_account_id: Option<AccountId>,
    /// When that account replaced another one.
    pub payout_account_changed_at: Option<DateTime<Utc>>,
    /// Sealed bank details.
    pub encrypted_bank_details: Option<String>,
    /// Whether it may send and receive.
    pub is_active: bool,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl Wallet {
    /// Its currency.
    #[must_use]
    pub const fn currency(&self) -> Currency {
        self.balance.currency()
    }
}

/// The row as diesel reads it.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = wallets)]
#[diesel(check_for_backend(diesel::pg::Pg))]
pub struct WalletRow {
    id: Uuid,
    user_id: Uuid,
    currency: String,
    balance: Decimal,
    frozen_balance: Decimal,
    stripe_customer_id: Option<CustomerId>,
    stripe_account_id: Option<AccountId>,
    payout_account_changed_at: Option<DateTime<Utc>>,
    encrypted_bank_details: Option<String>,
    is_active: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<WalletRow> for Wallet {
    type Error = DbError;

    fn try_from(row: WalletRow) -> Result<Self, DbError> {
        let wrong = |column| DbError::inconsistent("wallets", column, row.id);
        let currency: Currency = row.currency.parse().map_err(|_| wrong("currency"))?;
        Ok(Self {
            id: WalletId::from_uuid(row.id),
            user_id: UserId::from_uuid(row.user_id),
            balance: Money::new(row.balance, currency).map_err(|_| wrong("balance"))?,
            frozen_balance: Money::new(row.frozen_balance, currency).map_err(|_| wrong("frozen_balance"))?,
            stripe_customer_id: row.stripe_customer_id,
            stripe_account_id: row.stripe_account_id,
            payout_account_changed_at: row.payout_account_changed_at,
            encrypted_bank_details: row.encrypted_bank_details,
            is_active: row.is_active,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}
