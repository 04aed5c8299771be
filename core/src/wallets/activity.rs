//! Deactivating and activating a wallet: an operator's decision, on record with who and why.
//!
//! Nothing leaves a wallet that is not active, and nothing is asked for it: requests are refused, what is held and has not left is given back
//! to it. What comes in without being asked for is booked all the same, since it is the owner's or owed: payments under way, payouts and
//! refunds that come back, disputes, refunds made at Stripe.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::store::write_active;
use super::{Wallet, find, lock};
use crate::audit::{self, Actor, AuditRecord};
use crate::db::{Db, DbError, in_transaction};
use crate::ids::WalletId;
use crate::reason::Reason;

/// Who wants a wallet active or not, and why.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// Whether it shall be active.
    pub active: bool,
    /// Why: for other operators, never shown to the owner.
    pub reason: &'a Reason,
    /// Who.
    pub actor: &'a Actor,
    /// In which request.
    pub request_id: Option<&'a str>,
}

/// Activates or deactivates a wallet and gives it as it is then; none when there is no such wallet. One that is so already stays as it is;
/// the wish is recorded all the same.
///
/// # Errors
/// When the database cannot be reached.
pub async fn set_active(
    db: &Db,
    id: WalletId,
    wish: &Wish<'_>,
    now: DateTime<Utc>,
) -> Result<Option<Wallet>, DbError> {
    in_transaction!(db, conn => {
        let Some(before) = lock(conn, id).await? else { return Ok(None) };
        if before.is_active != wish.active {
            write_active(conn, id, wish.active, now).await?;
        }
        let entry = AuditRecord {
            request_id: wish.request_id,
            wallets: &[id],
            detail: json!({ "reason": wish.reason.as_str(), "was_active": before.is_active }),
            ..AuditRecord::new(now, wish.actor, if wish.active { "activate_wallet" } else { "deactivate_wallet" })
        };
        audit::record(conn, &entry).await?;
        find(conn, id).await
    })
}
