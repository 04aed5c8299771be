//! Refunds.

use stripe_core::refund::{self, ListRefund, RetrieveRefund};

use super::client::Client;
use super::convert::{self, asked_for, one, wire_amount, wire_tags};
use super::wire::Outgoing;
use super::{PAGE, pages::Pages};
use crate::stripe::errors::GatewayError;
use crate::stripe::ids::{PaymentIntentId, RefundId};
use crate::stripe::params::CreateRefund;
use crate::stripe::ticket::Ticket;
use crate::stripe::types::Refund;

pub(super) async fn create(
    client: &Client,
    ticket: &Ticket,
    params: &CreateRefund,
) -> Result<Refund, GatewayError> {
    let request = refund::CreateRefund::new()
        .payment_intent(params.payment_intent.as_str())
        .amount(wire_amount(params.amount)?)
        .metadata(wire_tags(params.tags));
    let answer = Outgoing::of(&request).under(ticket).send(client).await?;
    asked_for(one(convert::refund(answer))?, |made| {
        made.amount == params.amount && made.payment_intent.as_ref() == Some(&params.payment_intent)
    })
}

pub(super) async fn retrieve(client: &Client, id: &RefundId) -> Result<Refund, GatewayError> {
    let answer = Outgoing::of(&RetrieveRefund::new(id.as_str()))
        .send(client)
        .await?;
    one(convert::refund(answer))
}

pub(super) async fn list(client: &Client, payment: &PaymentIntentId) -> Result<Vec<Refund>, GatewayError> {
    let mut pages = Pages::new();
    while let Some(cursor) = pages.next()? {
        let mut request = ListRefund::new().payment_intent(payment.as_str()).limit(PAGE);
        if let Some(cursor) = cursor {
            request = request.starting_after(cursor);
        }
        let page = Outgoing::of(&request).send(client).await?;
        pages.take(page, convert::refund)?;
    }
    Ok(pages.into_objects())
}
