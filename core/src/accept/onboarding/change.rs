//! Changing a wallet's payout account: a mistyped one is corrected, or another one of the person's is chosen.

use serde_json::json;

use super::{PayeeError, Payees};
use crate::accept::{AcceptError, Caller};
use crate::audit::{self, Actor, AuditRecord};
use crate::db::in_transaction;
use crate::payees::{self, ProvenAccount};
use crate::wallets::{self, Wallet};

impl Payees {
    /// Makes the caller's own `wallet` pay out to the connected account `named`, which must be the caller's according to Stripe. Withdrawals that
    /// were accepted before go to the account that was named then; new ones are refused until the cool-off is over. Naming the account that the
    /// wallet already has changes nothing.
    ///
    /// # Errors
    /// See [`PayeeError`]; nothing is stored in that case.
    pub async fn change_account(
        &self,
        caller: &Caller,
        wallet: &str,
        named: &str,
    ) -> Result<Wallet, PayeeError> {
        let who_may = "only the owner of a wallet may change its payout account";
        let wallet = self.own_wallet(caller, wallet, who_may).await?;
        let proven = self.prove(caller.user_id, named).await?;
        self.name_account(caller, &wallet, &proven).await
    }

    async fn name_account(
        &self,
        caller: &Caller,
        wallet: &Wallet,
        proven: &ProvenAccount,
    ) -> Result<Wallet, PayeeError> {
        in_transaction!(self.db, conn => {
            let now = self.clock.now();
            // The person is always locked before the wallet.
            wallets::lock_person(conn, wallet.user_id).await?;
            let before = wallets::lock(conn, wallet.id).await?.ok_or(AcceptError::WalletNotFound)?;
            if before.stripe_account_id.as_ref() == Some(proven.id()) {
                return Ok(before);
            }
            payees::record(conn, proven).await?;
            wallets::change_account(conn, &before, proven.id(), now).await?;
            let actor = Actor::User(caller.user_id);
            let entry = AuditRecord {
                request_id: caller.request_id.as_deref(),
                wallets: &[wallet.id],
                detail: json!({ "from": before.stripe_account_id, "to": proven.id(), "role": caller.role.as_str() }),
                ..AuditRecord::new(now, &actor, "change_payout_account")
            };
            audit::record(conn, &entry).await?;
            let after = wallets::find(conn, wallet.id).await?;
            Ok::<_, PayeeError>(after.ok_or(AcceptError::WalletNotFound)?)
        })
    }
}
