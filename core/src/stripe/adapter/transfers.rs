//! Transfers to connected accounts, and taking them back.

use std::collections::HashMap;

use stripe_connect::transfer::{self, ListTransfer, RetrieveTransfer};
use stripe_connect::transfer_reversal::{CreateIdTransferReversal, ListIdTransferReversal};
use stripe_types::List;

use super::client::Client;

use super::convert::{self, asked_for, one, wire_amount, wire_currency, wire_tags};
use super::wire::Outgoing;
use super::{PAGE, pages::Pages};
use crate::ids::TransactionId;
use crate::stripe::errors::GatewayError;
use crate::stripe::ids::StripeTransferId;
use crate::stripe::params::{CreateReversal, CreateTransfer};
use crate::stripe::ticket::Ticket;
use crate::stripe::types::{Reversal, Transfer};

/// A reversal as it comes: the library's type lacks its status.
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

pub(super) async fn create(
    client: &Client,
    ticket: &Ticket,
    params: &CreateTransfer,
) -> Result<Transfer, GatewayError> {
    let request = transfer::CreateTransfer::new(
        wire_currency(params.amount.currency()),
        params.destination.as_str(),
    )
    .amount(wire_amount(params.amount)?)
    .transfer_group(params.tags.transaction_id.to_string())
    .metadata(wire_tags(params.tags));
    let answer = Outgoing::of(&request).under(ticket).send(client).await?;
    asked_for(one(convert::transfer(answer))?, |made| {
        made.amount == params.amount && made.destination.as_ref() == Some(&params.destination)
    })
}

pub(super) async fn retrieve(client: &Client, id: &StripeTransferId) -> Result<Transfer, GatewayError> {
    let answer = Outgoing::of(&RetrieveTransfer::new(id.as_str()))
        .send(client)
        .await?;
    one(convert::transfer(answer))
}

pub(super) async fn list(client: &Client, group: TransactionId) -> Result<Vec<Transfer>, GatewayError> {
    let mut pages = Pages::new();
    while let Some(cursor) = pages.next()? {
        let mut request = ListTransfer::new().transfer_group(group.to_string()).limit(PAGE);
        if let Some(cursor) = cursor {
            request = request.starting_after(cursor);
        }
        let page = Outgoing::of(&request).send(client).await?;
        pages.take(page, convert::transfer)?;
    }
    Ok(pages.into_objects())
}

pub(super) async fn reverse(
    client: &Client,
    ticket: &Ticket,
    params: &CreateReversal,
) -> Result<Reversal, GatewayError> {
    let request = CreateIdTransferReversal::new(params.transfer.as_str())
        .amount(wire_amount(params.amount)?)
        .metadata(wire_tags(params.tags));
    let answer: WireReversal = Outgoing::of(&request)
        .read_as()
        .under(ticket)
        .send(client)
        .await?;
    asked_for(one(convert::reversal(answer))?, |made| {
        made.amount == params.amount
    })
}

pub(super) async fn list_reversals(
    client: &Client,
    transfer: &StripeTransferId,
) -> Result<Vec<Reversal>, GatewayError> {
    let mut pages = Pages::new();
    while let Some(cursor) = pages.next()? {
        let mut request = ListIdTransferReversal::new(transfer.as_str()).limit(PAGE);
        if let Some(cursor) = cursor {
            request = request.starting_after(cursor);
        }
        let page: List<WireReversal> = Outgoing::of(&request).read_as().send(client).await?;
        pages.take(page, convert::reversal)?;
    }
    Ok(pages.into_objects())
}
