//! Payouts, which live on connected accounts.

use chrono::{DateTime, Utc};
use stripe_core::payout::{self, ListPayout, RetrievePayout};
use stripe_types::RangeQueryTs;

use super::client::Client;
use super::convert::{self, asked_for, one, wire_amount, wire_currency, wire_tags};
use super::wire::Outgoing;
use super::{PAGE, pages::Pages};
use crate::stripe::errors::GatewayError;
use crate::stripe::ids::{AccountId, PayoutId};
use crate::stripe::params::CreatePayout;
use crate::stripe::ticket::Ticket;
use crate::stripe::types::Payout;

pub(super) async fn create(
    client: &Client,
    ticket: &Ticket,
    params: &CreatePayout,
) -> Result<Payout, GatewayError> {
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
        .send(client)
        .await?;
    asked_for(one(convert::payout(answer))?, |made| made.amount == params.amount)
}

pub(super) async fn retrieve(
    client: &Client,
    account: &AccountId,
    id: &PayoutId,
) -> Result<Payout, GatewayError> {
    let request = RetrievePayout::new(id.as_str());
    let answer = Outgoing::of(&request).on(Some(account)).send(client).await?;
    one(convert::payout(answer))
}

pub(super) async fn list(
    client: &Client,
    account: &AccountId,
    created_since: DateTime<Utc>,
) -> Result<Vec<Payout>, GatewayError> {
    let mut pages = Pages::new();
    while let Some(cursor) = pages.next()? {
        let mut request = ListPayout::new()
            .created(RangeQueryTs::gte(created_since.timestamp()))
            .limit(PAGE);
        if let Some(cursor) = cursor {
            request = request.starting_after(cursor);
        }
        let page = Outgoing::of(&request).on(Some(account)).send(client).await?;
        pages.take(page, convert::payout)?;
    }
    Ok(pages.into_objects())
}
