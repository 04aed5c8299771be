//! Pages of a wallet's history, as the Relay connection specification defines them.

use std::collections::HashMap;

use async_graphql::{ComplexObject, SimpleObject};
use wallet_core::accept::Caller;
use wallet_core::db::{Db, DbError};
use wallet_core::ids::TransactionId;
use wallet_core::transactions::{self, HistoryFilter, HistoryPage, TimelineEntry, Transaction};
use wallet_core::wallets::Wallet;

use super::cursor::Cursor;
use super::{TransactionStatus, TransactionType, WalletTransaction};
use crate::errors::ApiError;
use crate::graphql::limits::{DEFAULT_PAGE, MAX_PAGE};
use crate::state::App;

/// A page of transactions, newest first.
#[derive(Debug, SimpleObject)]
#[graphql(complex)]
pub(crate) struct TransactionConnection {
    /// The transactions with their cursors.
    edges: Vec<TransactionEdge>,
    /// The position of the page.
    page_info: PageInfo,
}

#[ComplexObject]
impl TransactionConnection {
    /// The transactions without their cursors.
    async fn nodes(&self) -> Vec<&WalletTransaction> {
        self.edges.iter().map(|edge| &edge.node).collect()
    }
}

/// A transaction and its position.
#[derive(Debug, SimpleObject)]
pub(crate) struct TransactionEdge {
    /// The transaction's cursor: send it as after to get what follows.
    cursor: String,
    /// The transaction.
    node: WalletTransaction,
}

/// The position of a page.
#[derive(Debug, SimpleObject)]
pub(crate) struct PageInfo {
    /// Whether older transactions follow.
    has_next_page: bool,
    /// Whether newer transactions precede.
    has_previous_page: bool,
    /// The cursor of the first transaction of the page.
    start_cursor: Option<String>,
    /// The cursor of the last transaction of the page: send it as after to get the next page.
    end_cursor: Option<String>,
}

/// A client's request for a page of a history.
#[derive(Debug, Default)]
pub(super) struct PageRequest {
    pub(super) first: Option<i32>,
    pub(super) after: Option<String>,
    pub(super) transaction_type: Option<TransactionType>,
    pub(super) status: Option<TransactionStatus>,
}

impl PageRequest {
    fn first(&self) -> Result<usize, ApiError> {
        let first = self.first.map_or(Ok(DEFAULT_PAGE), usize::try_from);
        first
            .ok()
            .filter(|first| (1..=MAX_PAGE).contains(first))
            .ok_or_else(|| ApiError::validation("first", format!("must be from 1 to {MAX_PAGE}")))
    }

    fn filter(&self) -> Result<HistoryFilter, ApiError> {
        let wrong = || ApiError::validation("after", "must be a cursor that an earlier page gave");
        let after = self
            .after
            .as_deref()
            .map(|text| Cursor::decode(text).ok_or_else(wrong))
            .transpose()?;
        Ok(HistoryFilter {
            transaction_type: self.transaction_type.map(Into::into),
            status: self.status.map(Into::into),
            before: after.map(|cursor| cursor.0),
        })
    }
}

/// Reads a page of a wallet that `caller` may see, with the timelines of its rows if they are requested.
pub(super) async fn page(
    app: &App,
    caller: &Caller,
    wallet: &Wallet,
    asked: &PageRequest,
    with_timelines: bool,
) -> Result<TransactionConnection, ApiError> {
    let first = asked.first()?;
    let filter = asked.filter()?;
    let told = with_timelines.then_some(caller);
    let (found, mut timelines) = app.reads.read(|db| read(db, wallet, filter, first, told)).await?;
    let edge = |row: Transaction| {
        let timeline = timelines.remove(&row.id).unwrap_or_default();
        TransactionEdge {
            cursor: Cursor(row.id).encode(),
            node: WalletTransaction::in_wallet(row, wallet.id, caller, with_timelines.then_some(timeline)),
        }
    };
    let edges: Vec<TransactionEdge> = found.transactions.into_iter().map(edge).collect();
    let page_info = PageInfo {
        has_next_page: found.has_more,
        has_previous_page: filter.before.is_some(),
        start_cursor: edges.first().map(|edge| edge.cursor.clone()),
        end_cursor: edges.last().map(|edge| edge.cursor.clone()),
    };
    Ok(TransactionConnection { edges, page_info })
}

/// The timelines of the rows of one page.
type Timelines = HashMap<TransactionId, Vec<TimelineEntry>>;

/// Reads a page, and those of its timelines that `told` may read.
async fn read(
    db: Db,
    wallet: &Wallet,
    filter: HistoryFilter,
    first: usize,
    told: Option<&Caller>,
) -> Result<(HistoryPage, Timelines), DbError> {
    let mut conn = db.conn().await?;
    let page = transactions::history(&mut conn, wallet.id, filter, first).await?;
    let Some(caller) = told else {
        return Ok((page, Timelines::new()));
    };
    let rows = page.transactions.iter();
    let shown: Vec<TransactionId> = rows
        .filter(|row| WalletTransaction::shows_timeline(row, caller))
        .map(|row| row.id)
        .collect();
    let timelines = transactions::timelines(&mut conn, &shown).await?;
    Ok((page, timelines))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(asked: &PageRequest) -> Option<String> {
        match asked
            .first()
            .map(|_| ())
            .and_then(|()| asked.filter().map(|_| ()))
        {
            Err(ApiError::Validation { field, .. }) => Some(field.into_owned()),
            _ => None,
        }
    }

    #[test]
    fn a_page_is_bounded_and_its_cursor_one_of_ours() {
        let first = |first| PageRequest {
            first: Some(first),
            ..PageRequest::default()
        };
        for wrong in [-1, 0, 101, i32::MAX] {
            assert_eq!(field(&first(wrong)).as_deref(), Some("first"), "{wrong}");
        }
        assert_eq!(first(100).first().unwrap(), 100);
        assert_eq!(PageRequest::default().first().unwrap(), 20);
        let after = PageRequest {
            after: Some("x".to_owned()),
            ..PageRequest::default()
        };
        assert_eq!(field(&after).as_deref(), Some("after"));
    }
}
