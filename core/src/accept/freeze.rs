//! An operator's wish to deactivate a wallet, or to activate it again.

use super::{AcceptError, Acceptor, Caller, checks, text};
use crate::audit::Actor;
use crate::wallets::{self, Wallet, Wish};

/// Most characters of a reason.
const REASON_CHARS: usize = 1_000;

impl Acceptor {
    /// Deactivates `wallet`, or activates it, for operators, who say why.
    ///
    /// # Errors
    /// Every reason of [`AcceptError`]; nothing is stored then.
    pub async fn set_active(
        &self,
        caller: &Caller,
        wallet: &str,
        active: bool,
        reason: &str,
    ) -> Result<Wallet, AcceptError> {
        if !caller.role.repairs() {
            return Err(AcceptError::Forbidden);
        }
        let id = checks::wallet_id(wallet)?;
        if reason.trim().is_empty() {
            return Err(AcceptError::validation("reason", "must say why"));
        }
        text::line("reason", Some(reason), REASON_CHARS)?;
        let wish = Wish {
            active,
            reason: reason.trim(),
            actor: &Actor::User(caller.user_id),
            request_id: caller.request_id.as_deref(),
        };
        wallets::set_active(&self.db, id, &wish, self.clock.now())
            .await?
            .ok_or(AcceptError::WalletNotFound)
    }
}
