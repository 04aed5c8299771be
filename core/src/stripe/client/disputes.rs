//! Disputes, which payers' banks open and which we only read.

use stripe_core::dispute::{ListDispute, RetrieveDispute};

use super::StripeClient;
use super::convert::{self, one};
use super::wire::Outgoing;
use super::{PAGE, pages::Pages};
use crate::ids::stripe::{DisputeId, PaymentIntentId};
use crate::stripe::errors::StripeError;
use crate::stripe::types::Dispute;

impl StripeClient {
    /// Returns the dispute as it is now, with every movement of its money.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn retrieve_dispute(&self, id: &DisputeId) -> Result<Dispute, StripeError> {
        self.twice("retrieve_dispute", || async {
            let answer = Outgoing::of(&RetrieveDispute::new(id.as_str()))
                .send(self)
                .await?;
            one(convert::dispute(answer))
        })
        .await
    }

    /// Returns the disputes of a payment, newest first.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn list_disputes(&self, payment: &PaymentIntentId) -> Result<Vec<Dispute>, StripeError> {
        self.once("list_disputes", async {
            let mut pages = Pages::new();
            while let Some(cursor) = pages.next()? {
                let mut request = ListDispute::new().payment_intent(payment.as_str()).limit(PAGE);
                if let Some(cursor) = cursor {
                    request = request.starting_after(cursor);
                }
                let page = Outgoing::of(&request).send(self).await?;
                pages.take(page, convert::dispute)?;
            }
            Ok(pages.into_objects())
        })
        .await
    }
}
