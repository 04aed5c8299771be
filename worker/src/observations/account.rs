//! Observes a connected account: whether payouts are enabled decides if its owner's wallets can be withdrawn from.

use wallet_core::inbox::EventEnd;
use wallet_core::payees::{self, ProvenAccount};
use wallet_core::stripe::{AccountId, CallError};

use super::Observation;
use crate::job_error::JobError;

const NOTED: &str = "the account's state is noted";
const NOBODYS: &str = "the account of nobody here";

/// Observes an account: records whether Stripe pays it out.
pub(crate) async fn account(observation: &Observation<'_>, id: &AccountId) -> Result<(), JobError> {
    let asked_at = observation.worker.clock.now();
    let client = observation.worker.calls.client();
    let account = match observation.ask(client.retrieve_account(id)).await {
        Ok(account) => account,
        Err(JobError::Call(CallError::Stripe(error))) if payees::is_gone(&error) => {
            return disconnected(observation, id).await;
        }
        Err(error) => return Err(error),
    };
    let Some(owner) = account.metadata.user_id else {
        return observation.close(EventEnd::Ignored, NOBODYS).await;
    };
    let Some(proven) = ProvenAccount::of(account, owner, asked_at) else {
        return observation.close(EventEnd::Ignored, NOBODYS).await;
    };
    let is_known = {
        let conn = &mut observation.worker.db.conn().await?;
        let is_known = payees::find(conn, proven.id()).await?.is_some()
            || payees::is_named_by(conn, proven.id(), owner).await?;
        if is_known {
            payees::record(conn, &proven).await?;
        }
        is_known
    };
    if is_known {
        observation.close(EventEnd::Processed, NOTED).await
    } else {
        observation.close(EventEnd::Ignored, NOBODYS).await
    }
}

/// Records that the owner revoked our access or the account was deleted: nothing can be sent there any more.
pub(crate) async fn disconnected(observation: &Observation<'_>, id: &AccountId) -> Result<(), JobError> {
    let now = observation.worker.clock.now();
    let known = {
        let conn = &mut observation.worker.db.conn().await?;
        let known = payees::find(conn, id).await?;
        if let Some(account) = &known {
            payees::close(conn, id, account.user_id, payees::DISCONNECTED, now).await?;
        }
        known
    };
    match known {
        Some(_) => observation.close(EventEnd::Processed, NOTED).await,
        None => observation.close(EventEnd::Ignored, NOBODYS).await,
    }
}
