//! Customers.

use std::collections::HashMap;

use stripe_core::customer;

use super::StripeClient;
use super::convert::{self, one};
use super::wire::Outgoing;
use crate::stripe::errors::StripeError;
use crate::stripe::params::CreateCustomer;
use crate::stripe::ticket::Ticket;
use crate::stripe::types::Customer;

impl StripeClient {
    /// Makes a customer.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn create_customer(
        &self,
        ticket: &Ticket,
        params: &CreateCustomer,
    ) -> Result<Customer, StripeError> {
        self.once("create_customer", async {
            let metadata = HashMap::from([("user_id".to_owned(), params.user_id.to_string())]);
            let request = customer::CreateCustomer::new().metadata(metadata);
            let answer = Outgoing::of(&request).under(ticket).send(self).await?;
            one(convert::customer(answer))
        })
        .await
    }
}
