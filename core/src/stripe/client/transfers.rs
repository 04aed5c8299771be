//! Transfers to connected accounts, and their reversals.

use std::collections::HashMap;

use rust_decimal::Decimal;
use stripe_connect::transfer::{self, ListTransfer, RetrieveTransfer};
use stripe_connect::transfer_reversal::{CreateIdTransferReversal, ListIdTransferReversal};
use stripe_types::List;

use super::StripeClient;

use super::convert::{self, asked_for, one, wire_amount, wire_currency, wire_tags};
use super::wire::Outgoing;
use super::{PAGE, pages::Pages};
use crate::ids::TransactionId;
use crate::ids::stripe::StripeTransferId;
use crate::stripe::errors::StripeError;
use crate::stripe::params::{CreateReversal, CreateTransfer};
use crate::stripe::status::ReversalStatus;
use crate::stripe::ticket::Ticket;
use crate::stripe::types::{Reversal, Transfer};

/// A reversal as Stripe returns it; the library's type lacks its status.
#[derive(Debug, miniserde::Deserialize)]
pub(super) struct WireReversal {
    pub(super) id: stripe_shared::TransferReversalId,
    pub(super) transfer: String,
    pub(super) amount: i64,
    pub(super) currency: stripe_types::Currency,
    pub(super) metadata: Option<HashMap<String, String>>,
    pub(super) created: i64,
    pub(super) status: Option<String>,
}

impl stripe_types::Object for WireReversal {
    type Id = stripe_shared::TransferReversalId;

    fn id(&self) -> &Self::Id {
        &self.id
    }

    fn into_id(self) -> Self::Id {
        self.id
    }
}

impl StripeClient {
    /// Sends money from the platform's balance to a connected account.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn create_transfer(
        &self,
        ticket: &Ticket,
        params: &CreateTransfer,
    ) -> Result<Transfer, StripeError> {
        self.once("create_transfer", async {
            let request = transfer::CreateTransfer::new(
                wire_currency(params.amount.currency()),
                params.destination.as_str(),
            )
            .amount(wire_amount(params.amount)?)
            .transfer_group(params.tags.transaction_id.to_string())
            .metadata(wire_tags(params.tags));
            let answer = Outgoing::of(&request).under(ticket).send(self).await?;
            asked_for(one(convert::transfer(answer))?, |made| {
                made.amount == params.amount && made.destination.as_ref() == Some(&params.destination)
            })
        })
        .await
    }

    /// Returns the transfer as it is now.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn retrieve_transfer(&self, id: &StripeTransferId) -> Result<Transfer, StripeError> {
        self.twice("retrieve_transfer", || async {
            let answer = Outgoing::of(&RetrieveTransfer::new(id.as_str()))
                .send(self)
                .await?;
            one(convert::transfer(answer))
        })
        .await
    }

    /// Returns whether all of a transfer was reversed. A reversal that waits for money of the account, or has failed, has taken nothing.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn is_reversed(&self, transfer: &Transfer) -> Result<bool, StripeError> {
        if transfer.amount_reversed.is_zero() {
            return Ok(false);
        }
        let reversals = self.list_reversals(&transfer.id).await?;
        let taken = reversals
            .iter()
            .filter(|reversal| reversal.status == ReversalStatus::Succeeded)
            .map(|reversal| reversal.amount.amount())
            .sum::<Decimal>();
        Ok(taken >= transfer.amount.amount())
    }

    /// Returns the transfers made for a transaction, which carry its id as their `transfer_group`.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn list_transfers(&self, group: TransactionId) -> Result<Vec<Transfer>, StripeError> {
        self.once("list_transfers", async {
            let mut pages = Pages::new();
            while let Some(cursor) = pages.next()? {
                let mut request = ListTransfer::new().transfer_group(group.to_string()).limit(PAGE);
                if let Some(cursor) = cursor {
                    request = request.starting_after(cursor);
                }
                let page = Outgoing::of(&request).send(self).await?;
                pages.take(page, convert::transfer)?;
            }
            Ok(pages.into_objects())
        })
        .await
    }

    /// Reverses a transfer, in whole or in part.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn create_reversal(
        &self,
        ticket: &Ticket,
        params: &CreateReversal,
    ) -> Result<Reversal, StripeError> {
        self.once("create_reversal", async {
            let request = CreateIdTransferReversal::new(params.transfer.as_str())
                .amount(wire_amount(params.amount)?)
                .metadata(wire_tags(params.tags));
            let answer: WireReversal = Outgoing::of(&request).read_as().under(ticket).send(self).await?;
            asked_for(one(convert::reversal(answer))?, |made| {
                made.amount == params.amount
            })
        })
        .await
    }

    /// Returns the reversals of a transfer.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn list_reversals(&self, transfer: &StripeTransferId) -> Result<Vec<Reversal>, StripeError> {
        self.once("list_reversals", async {
            let mut pages = Pages::new();
            while let Some(cursor) = pages.next()? {
                let mut request = ListIdTransferReversal::new(transfer.as_str()).limit(PAGE);
                if let Some(cursor) = cursor {
                    request = request.starting_after(cursor);
                }
                let page: List<WireReversal> = Outgoing::of(&request).read_as().send(self).await?;
                pages.take(page, convert::reversal)?;
            }
            Ok(pages.into_objects())
        })
        .await
    }
}
