//! Deactivating and activating a wallet: an operator's decision, recorded with who made it and why.
//!
//! Nothing leaves an inactive wallet: requests are refused, and what is held and has not left is released to it. What comes in without a
//! request is still booked, since it is the owner's or owed: payments under way, payouts and refunds that come back, disputes, refunds
//! made at Stripe.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::store::write_active;
use super::{Wallet, find, lock};
use crate::audit::{self, Actor, AuditRecord};
use crate::db::{Db, DbError, in_transaction};
use crate::ids::WalletId;
use crate::reason::Reason;

/// A request to activate or deactivate a wallet.
#[derive(Debug, Clone, Copy)]
pub struct ActivityChange<'a> {
    /// Whether the wallet is to be active.
    pub active: bool,
    /// The reason: for other operators, never shown to the owner.
    pub reason: &'a Reason,
    /// Who requests it.
    pub actor: &'a Actor,
    /// The id of the API request, if there is one.
    pub request_id: Option<&'a str>,
}

/// Activates or deactivates a wallet and returns it as it is then, or `None` if there is no such wallet. If it is in that state already, it stays
/// as it is, and the request is still recorded.
///
/// # Errors
/// When the database cannot be reached.
pub async fn set_active(
    db: &Db,
    id: WalletId,
    change: &ActivityChange<'_>,
    now: DateTime<Utc>,
) -> Result<Option<Wallet>, DbError> {
    in_transaction!(db, conn => {
        let Some(before) = lock(conn, id).await? else { return Ok(None) };
        if before.is_active != change.active {
            write_active(conn, id, change.active, now).await?;
        }
        let entry = AuditRecord {
            request_id: change.request_id,
            wallets: &[id],
            detail: json!({ "reason": change.reason.as_str(), "was_active": before.is_active }),
            ..AuditRecord::new(now, change.actor, if change.active { "activate_wallet" } else { "deactivate_wallet" })
        };
        audit::record(conn, &entry).await?;
        find(conn, id).await
    })
}
