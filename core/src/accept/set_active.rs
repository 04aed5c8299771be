//! An operator's request to deactivate a wallet, or to activate it again.

use super::{AcceptError, Acceptor, Caller, checks};
use crate::audit::Actor;
use crate::reason::{NoReason, Reason};
use crate::wallets::{self, ActivityChange, Wallet};

impl Acceptor {
    /// Deactivates `wallet`, or activates it again. Only operators may do so, and they must give a reason.
    ///
    /// # Errors
    /// Any [`AcceptError`]; nothing is stored in that case.
    pub async fn set_active(
        &self,
        caller: &Caller,
        wallet: &str,
        active: bool,
        reason: &str,
    ) -> Result<Wallet, AcceptError> {
        if !caller.role.repairs() {
            return Err(AcceptError::Forbidden(
                "only an operator may freeze a wallet or unfreeze it",
            ));
        }
        let id = checks::wallet_id(wallet)?;
        let reason: Reason = reason
            .parse()
            .map_err(|refused: NoReason| AcceptError::validation("reason", refused.to_string()))?;
        let change = ActivityChange {
            active,
            reason: &reason,
            actor: &Actor::User(caller.user_id),
            request_id: caller.request_id.as_deref(),
        };
        wallets::set_active(&self.db, id, &change, self.clock.now())
            .await?
            .ok_or(AcceptError::WalletNotFound)
    }
}
