//! Balances, their movements, and the charges that explain most movements.

use stripe_core::balance::RetrieveForMyAccountBalance;
use stripe_core::balance_transaction::{ListBalanceTransaction, RetrieveBalanceTransaction};
use stripe_core::charge::RetrieveCharge;
use stripe_types::RangeQueryTs;

use super::StripeClient;
use super::convert::{self, one, ours};
use super::wire::Outgoing;
use super::{MOST_PAGES, PAGE};
use crate::ids::stripe::{AccountId, BalanceTransactionId, ChargeId};
use crate::stripe::errors::{ErrorClass, StripeError};
use crate::stripe::params::BalanceTransactionQuery;
use crate::stripe::types::{Balance, BalanceTransaction, BalanceTransactionPage, Charge};

impl StripeClient {
    /// Returns a charge, with the movement of the platform's balance that it caused.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn retrieve_charge(&self, id: &ChargeId) -> Result<Charge, StripeError> {
        self.twice("retrieve_charge", || async {
            let request = RetrieveCharge::new(id.as_str()).expand(["balance_transaction".to_owned()]);
            let answer = Outgoing::of(&request).send(self).await?;
            one(convert::charge(answer))
        })
        .await
    }

    /// Returns one movement of the platform's balance.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn retrieve_balance_transaction(
        &self,
        id: &BalanceTransactionId,
    ) -> Result<BalanceTransaction, StripeError> {
        self.twice("retrieve_balance_transaction", || async {
            let request = RetrieveBalanceTransaction::new(id.as_str());
            let answer = Outgoing::of(&request).send(self).await?;
            one(convert::balance_transaction(answer))
        })
        .await
    }

    /// Returns the balance of a connected account, or the platform's if no account is given.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn retrieve_balance(&self, account: Option<&AccountId>) -> Result<Balance, StripeError> {
        self.twice("retrieve_balance", || async {
            let request = RetrieveForMyAccountBalance::new();
            convert::balance(Outgoing::of(&request).on(account).send(self).await?)
        })
        .await
    }

    /// Returns one page of the movements of a balance, newest first; the whole list may cover months. Movements in currencies that we never use
    /// are left out. A page that would then be empty is skipped, since without a movement the caller could not continue from it.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn list_balance_transactions(
        &self,
        query: &BalanceTransactionQuery,
    ) -> Result<BalanceTransactionPage, StripeError> {
        self.once("list_balance_transactions", async {
            let mut older_than = query.older_than.as_ref().map(ToString::to_string);
            let mut newer_than = query.newer_than.as_ref().map(ToString::to_string);
            for _ in 0..MOST_PAGES {
                let request = request(query, older_than.as_deref(), newer_than.as_deref());
                let page = Outgoing::of(&request)
                    .on(query.account.as_ref())
                    .send(self)
                    .await?;
                let id_of = |row: &stripe_shared::BalanceTransaction| row.id.as_str().to_owned();
                let (newest, oldest) = (page.data.first().map(id_of), page.data.last().map(id_of));
                let transactions = ours(page.data, convert::balance_transaction)?;
                let edge = if newer_than.is_some() { newest } else { oldest };
                let has_more = page.has_more && edge.is_some();
                if !transactions.is_empty() || !has_more {
                    return Ok(BalanceTransactionPage {
                        transactions,
                        has_more,
                    });
                }
                let cursor = if newer_than.is_some() {
                    &mut newer_than
                } else {
                    &mut older_than
                };
                *cursor = edge;
            }
            tracing::error!(
                pages = MOST_PAGES,
                "a list of stripe holds too much that is not ours"
            );
            Err(StripeError::new(ErrorClass::Unknown))
        })
        .await
    }
}

fn request(
    query: &BalanceTransactionQuery,
    older_than: Option<&str>,
    newer_than: Option<&str>,
) -> ListBalanceTransaction {
    let mut request = ListBalanceTransaction::new().limit(PAGE);
    if let Some(since) = query.created_since {
        request = request.created(RangeQueryTs::gte(since.timestamp()));
    }
    if let Some(kind) = query.kind {
        request = request.type_(kind);
    }
    if let Some(payout) = &query.payout {
        request = request.payout(payout.as_str());
    }
    if let Some(id) = older_than {
        request = request.starting_after(id);
    }
    if let Some(id) = newer_than {
        request = request.ending_before(id);
    }
    request
}

#[cfg(test)]
mod tests {
    use stripe::StripeRequest;

    use super::*;

    #[test]
    fn a_query_becomes_its_parameters_and_none_that_were_not_asked_for() {
        let pairs = |query: &BalanceTransactionQuery, older, newer| {
            let mut pairs: Vec<String> = request(query, older, newer)
                .build()
                .query
                .into_iter()
                .flat_map(|query| query.split('&').map(ToOwned::to_owned).collect::<Vec<_>>())
                .map(|pair| pair.replace("%5B", "[").replace("%5D", "]"))
                .collect();
            pairs.sort_unstable();
            pairs
        };
        assert_eq!(
            pairs(&BalanceTransactionQuery::default(), None, None),
            ["limit=100"]
        );
        let query = BalanceTransactionQuery {
            created_since: chrono::DateTime::from_timestamp(1_700_000_000, 0),
            payout: Some("po_1".parse().unwrap()),
            kind: Some("payout"),
            ..BalanceTransactionQuery::default()
        };
        assert_eq!(
            pairs(&query, Some("txn_1"), None),
            [
                "created[gte]=1700000000",
                "limit=100",
                "payout=po_1",
                "starting_after=txn_1",
                "type=payout"
            ]
        );
        assert!(pairs(&query, None, Some("txn_2")).contains(&"ending_before=txn_2".to_owned()));
    }
}
