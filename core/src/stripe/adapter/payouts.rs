//! Payouts, which live on connected accounts.

use chrono::{DateTime, Utc};
use stripe::{Client, StripeRequest};
use stripe_core::payout::{self, ListPayout, RetrievePayout};
use stripe_types::RangeQueryTs;

use super::convert::{self, one, wire_amount, wire_currency, wire_tags};
use super::failure::failure;
use super::{PAGE, once, pages::Pages};
use crate::stripe::errors::GatewayError;
use crate::stripe::ids::{AccountId, IdempotencyKey, PayoutId};
use crate::stripe::params::CreatePayout;
use crate::stripe::types::Payout;

pub(super) async fn create(
    client: &Client,
    key: &IdempotencyKey,
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
    let answer = request
        .customize()
        .account_id(params.account.as_str().into())
        .request_strategy(once(key)?)
        .send(client)
        .await
        .map_err(failure)?;
    one(convert::payout(answer))
}

pub(super) async fn retrieve(
    client: &Client,
    account: &AccountId,
    id: &PayoutId,
) -> Result<Payout, GatewayError> {
    let request = RetrievePayout::new(id.as_str())
        .customize()
        .account_id(account.as_str().into());
    let answer = request.send(client).await.map_err(failure)?;
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
        let request = request.customize().account_id(account.as_str().into());
        let page = request.send(client).await.map_err(failure)?;
        pages.take(page, convert::payout)?;
    }
    Ok(pages.into_objects())
}
