//! How an account that a person names stands with Stripe.

use super::{PayeeError, Payees};
use crate::accept::AcceptError;
use crate::ids::UserId;
use crate::payees::{self, ProvenAccount, is_gone};
use crate::stripe::{Account, AccountId, CallError, Lane};

/// What Stripe says of an account that a person names.
pub(super) enum Standing {
    /// It is the person's.
    Proven(Box<ProvenAccount>),
    /// It names another person or nobody, or is the platform's own.
    NotTheirs,
    /// The platform has no access to it: it was deleted, has disconnected, or never was one of this platform.
    Gone,
}

impl Payees {
    /// Asks Stripe whether the connected account `named` is `owner`'s. Nothing is stored, and nothing changes at Stripe.
    ///
    /// # Errors
    /// A wrong `stripeAccountId` when it is not: the same words whether it is somebody else's or does not exist. See [`PayeeError`] for the
    /// others.
    pub async fn prove(&self, owner: UserId, named: &str) -> Result<ProvenAccount, PayeeError> {
        let standing = match named.parse() {
            Ok(id) => self.standing(owner, &id).await?,
            Err(_) => Standing::NotTheirs,
        };
        match standing {
            Standing::Proven(account) => Ok(*account),
            Standing::NotTheirs | Standing::Gone => Err(PayeeError::Refused(AcceptError::validation(
                "stripeAccountId",
                "must be a connected account whose metadata.user_id at Stripe is the wallet's owner; onboardPayouts opens one",
            ))),
        }
    }

    /// Asks Stripe how `owner`'s account stands, and writes down what is new; says whether something is. For whoever finds that by what was
    /// told so far nothing can be paid out there: the event that says otherwise may be late, or lost.
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

    /// What Stripe says of an account.
    pub(super) async fn standing(&self, owner: UserId, id: &AccountId) -> Result<Standing, PayeeError> {
        if self.platform().await?.id == *id {
            return Ok(Standing::NotTheirs);
        }
        let asked_at = self.clock.now();
        let question = self.calls.client().retrieve_account(id);
        match self.calls.ask(Lane::Onboarding, question).await {
            // Another object than was asked for says nothing about this one.
            Ok(account) if account.id != *id => Ok(Standing::NotTheirs),
            Ok(account) => Ok(ProvenAccount::of(account, owner, asked_at)
                .map_or(Standing::NotTheirs, |account| Standing::Proven(Box::new(account)))),
            Err(CallError::Stripe(error)) if is_gone(&error) => Ok(Standing::Gone),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// The platform's own account, asked for once: a key belongs to one account for good, and an account to one country.
    pub(super) async fn platform(&self) -> Result<&Account, PayeeError> {
        let own = self.own.get_or_try_init(|| async {
            let question = self.calls.client().retrieve_own_account();
            let own = self.calls.ask(Lane::Onboarding, question).await;
            own.map_err(|error| self.failed(error))
        });
        own.await
    }
}
