//! Connected accounts.

use stripe::Client;
use stripe_connect::account::RetrieveAccount;

use super::convert::{self, one};
use super::failure::failure;
use crate::stripe::errors::GatewayError;
use crate::stripe::ids::AccountId;
use crate::stripe::types::Account;

pub(super) async fn retrieve(client: &Client, id: &AccountId) -> Result<Account, GatewayError> {
    let answer = RetrieveAccount::new(id.as_str())
        .send(client)
        .await
        .map_err(failure)?;
    one(convert::account(answer))
}
