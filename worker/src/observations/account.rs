//! A connected account: whether it is paid out opens and closes the withdrawals of its owner's wallets.

use wallet_core::payees::{self, ProvenAccount};
use wallet_core::stripe::{AccountId, CallError};

use super::Look;
use crate::job_error::JobError;
use wallet_core::inbox::EventEnd;

const NOTED: &str = "the account's state is noted";
const NOBODYS: &str = "the account of nobody here";

/// Looks at an account and notes whether Stripe pays it out.
pub(crate) async fn account(look: &Look<'_>, id: &AccountId) -> Result<(), JobError> {
    let asked_at = look.worker.clock.now();
    let client = look.worker.calls.client();
    let account = match look.ask(client.retrieve_account(id)).await {
        Ok(account) => account,
        Err(JobError::Call(CallError::Stripe(error))) if payees::is_gone(&error) => {
            return disconnected(look, id).await;
        }
        Err(error) => return Err(error),
    };
    let Some(owner) = account.metadata.user_id else {
        return look.close(EventEnd::Ignored, NOBODYS).await;
    };
    let Some(proven) = ProvenAccount::of(account, owner, asked_at) else {
        return look.close(EventEnd::Ignored, NOBODYS).await;
    };
    let is_known = {
        let conn = &mut look.worker.db.conn().await?;
        let is_known = payees::find(conn, proven.id()).await?.is_some()
            || payees::is_named_by(conn, proven.id(), owner).await?;
        if is_known {
            payees::record(conn, &proven).await?;
        }
        is_known
    };
    if is_known {
        look.close(EventEnd::Processed, NOTED).await
    } else {
        look.close(EventEnd::Ignored, NOBODYS).await
    }
}

/// The owner took our access away, or the account was deleted: nothing can be sent there any more.
pub(crate) async fn disconnected(look: &Look<'_>, id: &AccountId) -> Result<(), JobError> {
    let now = look.worker.clock.now();
    let known = {
        let conn = &mut look.worker.db.conn().await?;
        let known = payees::find(conn, id).await?;
        if let Some(account) = &known {
            payees::close(conn, id, account.user_id, payees::DISCONNECTED, now).await?;
        }
        known
    };
    match known {
        Some(_) => look.close(EventEnd::Processed, NOTED).await,
        None => look.close(EventEnd::Ignored, NOBODYS).await,
    }
}
