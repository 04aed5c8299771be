//! Disputes, which payers' banks open and we only read.

use stripe_core::dispute::{ListDispute, RetrieveDispute};

use super::client::Client;
use super::convert::{self, one};
use super::wire::Outgoing;
use super::{PAGE, pages::Pages};
use crate::stripe::errors::GatewayError;
use crate::stripe::ids::{DisputeId, PaymentIntentId};
use crate::stripe::types::Dispute;

pub(super) async fn retrieve(client: &Client, id: &DisputeId) -> Result<Dispute, GatewayError> {
    let answer = Outgoing::of(&RetrieveDispute::new(id.as_str()))
        .send(client)
        .await?;
    one(convert::dispute(answer))
}

pub(super) async fn list(client: &Client, payment: &PaymentIntentId) -> Result<Vec<Dispute>, GatewayError> {
    let mut pages = Pages::new();
    while let Some(cursor) = pages.next()? {
        let mut request = ListDispute::new().payment_intent(payment.as_str()).limit(PAGE);
        if let Some(cursor) = cursor {
            request = request.starting_after(cursor);
        }
        let page = Outgoing::of(&request).send(client).await?;
        pages.take(page, convert::dispute)?;
    }
    Ok(pages.into_objects())
}
