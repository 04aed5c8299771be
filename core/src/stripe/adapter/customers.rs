//! Customers.

use std::collections::HashMap;

use stripe_core::customer;

use super::client::Client;
use super::convert::{self, one};
use super::wire::Outgoing;
use crate::stripe::errors::GatewayError;
use crate::stripe::params::CreateCustomer;
use crate::stripe::ticket::Ticket;
use crate::stripe::types::Customer;

pub(super) async fn create(
    client: &Client,
    ticket: &Ticket,
    params: &CreateCustomer,
) -> Result<Customer, GatewayError> {
    let metadata = HashMap::from([("user_id".to_owned(), params.user_id.to_string())]);
    let request = customer::CreateCustomer::new().metadata(metadata);
    let answer = Outgoing::of(&request).under(ticket).send(client).await?;
    one(convert::customer(answer))
}
