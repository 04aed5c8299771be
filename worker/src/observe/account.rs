//! A connected account: whether it is paid out opens and closes the withdrawals of its owner's wallets.

use chrono::{DateTime, Utc};
use wallet_core::payees;
use wallet_core::stripe::{AccountId, CallError, Disposition};

use super::Look;
use crate::outcome::JobError;
use crate::worker::EventEnd;

/// Looks at an account and notes whether Stripe pays it out.
pub(crate) async fn account(look: &Look<'_>, id: &AccountId) -> Result<(), JobError> {
    let asked_at = look.worker.clock.now();
    let gateway = look.worker.calls.gateway();
    let account = match look.ask(gateway.retrieve_account(id)).await {
        Ok(account) => account,
        // Closed, or no longer connected.
        Err(JobError::Call(CallError::Gateway(error)))
            if matches!(
                error.disposition(),
                Disposition::FailDefinite | Disposition::NeedsReview
            ) =>
        {
            return disconnected(look, id).await;
        }
        Err(error) => return Err(error),
    };
    let reason = account.disabled_reason.as_deref();
    note(look, id, account.payouts_enabled, reason, asked_at).await
}

/// The owner took our access away: nothing can be sent there any more.
pub(crate) async fn disconnected(look: &Look<'_>, id: &AccountId) -> Result<(), JobError> {
    let now = look.worker.clock.now();
    note(look, id, false, Some("disconnected"), now).await
}

async fn note(
    look: &Look<'_>,
    id: &AccountId,
    payouts_enabled: bool,
    disabled_reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), JobError> {
    let owner = {
        let conn = &mut look.worker.db.conn().await?;
        let owner = payees::owner_of(conn, id.as_str()).await?;
        if let Some(owner) = owner {
            payees::record(conn, id.as_str(), owner, payouts_enabled, disabled_reason, now).await?;
        }
        owner
    };
    match owner {
        Some(_) => look.close(EventEnd::Passed, "the account's state is noted").await,
        None => look.close(EventEnd::Ignored, "the account of nobody here").await,
    }
}
