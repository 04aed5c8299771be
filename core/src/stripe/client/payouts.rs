//! Payouts, which belong to connected accounts.

use chrono::{DateTime, Utc};
use stripe_core::payout::{self, ListPayout, RetrievePayout};
use stripe_types::RangeQueryTs;

use super::StripeClient;
use super::convert::{self, asked_for, one, wire_amount, wire_currency, wire_tags};
use super::wire::Outgoing;
use super::{PAGE, pages::Pages};
use crate::ids::stripe::{AccountId, PayoutId};
use crate::stripe::errors::StripeError;
use crate::stripe::params::CreatePayout;
use crate::stripe::ticket::Ticket;
use crate::stripe::types::Payout;

impl StripeClient {
    /// Pays out the balance of a connected account to its bank.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn create_payout(&self, ticket: &Ticket, params: &CreatePayout) -> Result<Payout, StripeError> {
        self.once("create_payout", async {
            let mut request = payout::CreatePayout::new(
                wire_amount(params.amount)?,
                wire_currency(params.amount.currency()),
            )
            .metadata(wire_tags(params.tags));
            if let Some(destination) = &params.destination {
                request = request.destination(destination.as_str());
            }
            let answer = Outgoing::of(&request)
                .under(ticket)
                .on(Some(&params.account))
                .send(self)
                .await?;
            asked_for(one(convert::payout(answer))?, |made| made.amount == params.amount)
        })
        .await
    }

    /// Returns a payout of a connected account as it is now.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn retrieve_payout(&self, account: &AccountId, id: &PayoutId) -> Result<Payout, StripeError> {
        self.twice("retrieve_payout", || async {
            let request = RetrievePayout::new(id.as_str());
            let answer = Outgoing::of(&request).on(Some(account)).send(self).await?;
            one(convert::payout(answer))
        })
        .await
    }

    /// Returns the payouts of a connected account created at `created_since` or later, newest first.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn list_payouts(
        &self,
        account: &AccountId,
        created_since: DateTime<Utc>,
    ) -> Result<Vec<Payout>, StripeError> {
        self.once("list_payouts", async {
            let mut pages = Pages::new();
            while let Some(cursor) = pages.next()? {
                let mut request = ListPayout::new()
                    .created(RangeQueryTs::gte(created_since.timestamp()))
                    .limit(PAGE);
                if let Some(cursor) = cursor {
                    request = request.starting_after(cursor);
                }
                let page = Outgoing::of(&request).on(Some(account)).send(self).await?;
                pages.take(page, convert::payout)?;
            }
            Ok(pages.into_objects())
        })
        .await
    }
}
