//! The kinds of rows that can be watched, and how several rows of a kind are read at once.

use std::collections::HashMap;

use uuid::Uuid;
use wallet_core::accept::Caller;
use wallet_core::db::{Db, DbError};
use wallet_core::debts;
use wallet_core::ids::{TransactionId, UserId, WalletId};
use wallet_core::money::Money;
use wallet_core::transactions::{self, Transaction};
use wallet_core::wallets::{self, Wallet};

/// A row that can be watched.
pub(crate) trait Watchable: Sized + Send + Sync + 'static {
    /// Reads the rows of several ids; those that do not exist are left out.
    fn load(db: &Db, ids: &[Uuid]) -> impl Future<Output = Result<HashMap<Uuid, Self>, DbError>> + Send;
}

/// A wallet with what its owner owes, which also changes by what happens to the owner's other wallets.
#[derive(Debug, Clone)]
pub(crate) struct SeenWallet {
    /// Its row.
    pub(crate) row: Wallet,
    /// What its owner owes in its currency, or `None` for nothing.
    owed: Option<Money>,
}

impl SeenWallet {
    /// Returns whether the caller may see it.
    pub(crate) fn is_visible_to(&self, caller: &Caller) -> bool {
        caller.role.reads_others() || self.row.user_id == caller.user_id
    }

    /// Returns whether it shows the same as an earlier read.
    pub(crate) fn is_as(&self, last: &Self) -> bool {
        let shown = |seen: &Self| {
            let row = &seen.row;
            (
                row.balance,
                row.frozen_balance,
                row.is_active,
                row.updated_at,
                seen.owed,
            )
        };
        shown(self) == shown(last)
    }
}

impl Watchable for SeenWallet {
    async fn load(db: &Db, ids: &[Uuid]) -> Result<HashMap<Uuid, Self>, DbError> {
        let ids: Vec<WalletId> = ids.iter().copied().map(WalletId::from_uuid).collect();
        let mut conn = db.conn().await?;
        let rows = wallets::load_many(&mut conn, &ids).await?;
        let owed = debts::of_owners(&mut conn, &ids).await?;
        let seen = rows.into_iter().map(|row| {
            let owed = owed.get(&row.id).copied();
            (row.id.uuid(), Self { row, owed })
        });
        Ok(seen.collect())
    }
}

/// A transaction, with the data that decides who may see it and whether something is new.
#[derive(Debug, Clone)]
pub(crate) struct SeenTransaction {
    /// Its row.
    pub(crate) row: Transaction,
    /// The newest line of its timeline: lines are also written between two changes of the row.
    pub(crate) line: Option<Uuid>,
    counterparty: Option<UserId>,
}

impl SeenTransaction {
    /// Returns whether the caller may see it.
    pub(crate) fn is_visible_to(&self, caller: &Caller) -> bool {
        caller.role.reads_others()
            || self.row.user_id == caller.user_id
            || self.counterparty == Some(caller.user_id)
    }
}

impl Watchable for SeenTransaction {
    async fn load(db: &Db, ids: &[Uuid]) -> Result<HashMap<Uuid, Self>, DbError> {
        let ids: Vec<TransactionId> = ids.iter().copied().map(TransactionId::from_uuid).collect();
        let mut conn = db.conn().await?;
        let rows = transactions::load_many(&mut conn, &ids).await?;
        let lines: HashMap<_, _> = transactions::newest_lines(&mut conn, &ids)
            .await?
            .into_iter()
            .collect();
        let others: Vec<WalletId> = rows.iter().filter_map(|row| row.counterparty_wallet_id).collect();
        let owners: HashMap<_, _> = if others.is_empty() {
            HashMap::new()
        } else {
            wallets::owners_of(&mut conn, &others)
                .await?
                .into_iter()
                .collect()
        };
        let seen = rows.into_iter().map(|row| {
            let seen = Self {
                line: lines.get(&row.id).copied(),
                counterparty: row
                    .counterparty_wallet_id
                    .and_then(|wallet| owners.get(&wallet).copied()),
                row,
            };
            (seen.row.id.uuid(), seen)
        });
        Ok(seen.collect())
    }
}
