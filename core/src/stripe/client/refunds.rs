//! Refunds.

use stripe_core::refund::{self, ListRefund, RetrieveRefund};

use super::StripeClient;
use super::convert::{self, asked_for, one, wire_amount, wire_tags};
use super::wire::Outgoing;
use super::{PAGE, pages::Pages};
use crate::ids::stripe::{PaymentIntentId, RefundId};
use crate::stripe::errors::StripeError;
use crate::stripe::params::CreateRefund;
use crate::stripe::ticket::Ticket;
use crate::stripe::types::Refund;

impl StripeClient {
    /// Sends money of a payment back to its payer. If the platform's balance has insufficient funds, the refund is still made and
    /// stays `pending`.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn create_refund(&self, ticket: &Ticket, params: &CreateRefund) -> Result<Refund, StripeError> {
        self.once("create_refund", async {
            let request = refund::CreateRefund::new()
                .payment_intent(params.payment_intent.as_str())
                .amount(wire_amount(params.amount)?)
                .metadata(wire_tags(params.tags));
            let answer = Outgoing::of(&request).under(ticket).send(self).await?;
            asked_for(one(convert::refund(answer))?, |made| {
                made.amount == params.amount && made.payment_intent.as_ref() == Some(&params.payment_intent)
            })
        })
        .await
    }

    /// Returns the refund as it is now.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn retrieve_refund(&self, id: &RefundId) -> Result<Refund, StripeError> {
        self.twice("retrieve_refund", || async {
            let answer = Outgoing::of(&RetrieveRefund::new(id.as_str())).send(self).await?;
            one(convert::refund(answer))
        })
        .await
    }

    /// Returns all refunds of a payment, including those made by others, newest first.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn list_refunds(&self, payment: &PaymentIntentId) -> Result<Vec<Refund>, StripeError> {
        self.once("list_refunds", async {
            let mut pages = Pages::new();
            while let Some(cursor) = pages.next()? {
                let mut request = ListRefund::new().payment_intent(payment.as_str()).limit(PAGE);
                if let Some(cursor) = cursor {
                    request = request.starting_after(cursor);
                }
                let page = Outgoing::of(&request).send(self).await?;
                pages.take(page, convert::refund)?;
            }
            Ok(pages.into_objects())
        })
        .await
    }
}
