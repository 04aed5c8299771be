//! Customers.

use std::collections::HashMap;

use stripe::{Client, StripeRequest};
use stripe_core::customer;

use super::convert::{self, one};
use super::failure::failure;
use super::once;
use crate::stripe::errors::GatewayError;
use crate::stripe::ids::IdempotencyKey;
use crate::stripe::params::CreateCustomer;
use crate::stripe::types::Customer;

pub(super) async fn create(
    client: &Client,
    key: &IdempotencyKey,
    params: &CreateCustomer,
) -> Result<Customer, GatewayError> {
    let metadata = HashMap::from([("user_id".to_owned(), params.user_id.to_string())]);
    let request = customer::CreateCustomer::new().metadata(metadata);
    let answer = request
        .customize()
        .request_strategy(once(key)?)
        .send(client)
        .await
        .map_err(failure)?;
    one(convert::customer(answer))
}
