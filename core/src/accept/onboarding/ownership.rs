//! Checking at Stripe whose a connected account is.

use super::{PayeeError, Payees};
use crate::accept::AcceptError;
use crate::ids::UserId;
use crate::payees::{self, ProvenAccount, is_gone};
use crate::stripe::{Account, AccountId, CallError, Lane};

/// Whose an account is that a person names, according to Stripe.
pub(super) enum Ownership {
    /// It is the person's.
    Proven(Box<ProvenAccount>),
    /// Its metadata names another person or nobody, or it is the platform's own.
    NotTheirs,
    /// The platform has no access to it: it was deleted, has disconnected, or never belonged to this platform.
    Gone,
}

impl Payees {
    /// Checks at Stripe that the connected account `named` is `owner`'s. Nothing is stored, and nothing changes at Stripe.
    ///
    /// # Errors
    /// A wrong `stripeAccountId` if it is not, in the same words whether the account is somebody else's or does not exist. See [`PayeeError`]
    /// for the others.
    pub async fn prove(&self, owner: UserId, named: &str) -> Result<ProvenAccount, PayeeError> {
        let ownership = match named.parse() {
            Ok(id) => self.ownership(owner, &id).await?,
            Err(_) => Ownership::NotTheirs,
        };
        match ownership {
            Ownership::Proven(account) => Ok(*account),
            Ownership::NotTheirs | Ownership::Gone => Err(PayeeError::Refused(AcceptError::validation(
                "stripeAccountId",
                "must be a connected account whose metadata.user_id at Stripe is the wallet's owner; onboardPayouts opens one",
            ))),
        }
    }

    /// Reads `owner`'s account from Stripe, records what is new, and returns whether anything is. Use it when by the stored reports nothing can
    /// be paid out to the account: the event that says otherwise may be late, or lost.
    ///
    /// # Errors
    /// See [`PayeeError`].
    pub async fn ask_again(&self, owner: UserId, account: &AccountId) -> Result<bool, PayeeError> {
        let proven = self.prove(owner, account.as_str()).await?;
        let conn = &mut self.db.conn().await?;
        let is_new = payees::find(conn, account)
            .await?
            .is_none_or(|known| !known.is_what(&proven));
        if is_new {
            payees::record(conn, &proven).await?;
        }
        Ok(is_new)
    }

    /// Reads an account from Stripe and checks whose it is.
    pub(super) async fn ownership(&self, owner: UserId, id: &AccountId) -> Result<Ownership, PayeeError> {
        if self.platform().await?.id == *id {
            return Ok(Ownership::NotTheirs);
        }
        let asked_at = self.clock.now();
        let question = self.calls.client().retrieve_account(id);
        match self.calls.ask(Lane::Onboarding, question).await {
            // An object other than the requested one says nothing about that one.
            Ok(account) if account.id != *id => Ok(Ownership::NotTheirs),
            Ok(account) => Ok(ProvenAccount::of(account, owner, asked_at)
                .map_or(Ownership::NotTheirs, |account| {
                    Ownership::Proven(Box::new(account))
                })),
            Err(CallError::Stripe(error)) if is_gone(&error) => Ok(Ownership::Gone),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Returns the platform's own account, read once: a key always belongs to one account, and an account to one country.
    pub(super) async fn platform(&self) -> Result<&Account, PayeeError> {
        let own = self.own.get_or_try_init(|| async {
            let question = self.calls.client().retrieve_own_account();
            let own = self.calls.ask(Lane::Onboarding, question).await;
            own.map_err(|error| self.failed(error))
        });
        own.await
    }
}
