//! Whose a connected account is: Stripe says so, by the `user_id` in the account's metadata, and nobody else.
//!
//! Metadata of a connected account is written by the platform alone (<https://docs.stripe.com/api/accounts/update>), so whoever opened the
//! account for a person has named that person there. An id proves nothing: it is printed on every dashboard and in every event.

use chrono::{DateTime, Utc};

use super::{PayeeError, Payees, store};
use crate::accept::AcceptError;
use crate::ids::UserId;
use crate::stripe::{Account, AccountId, CallError, GatewayError, Lane};

/// A connected account of which Stripe has said whose it is. Only such a one is stored as a wallet's payout account, gets a link or has
/// its schedule changed.
#[derive(Debug, Clone)]
pub struct ProvenAccount {
    owner: UserId,
    account: Account,
    asked_at: DateTime<Utc>,
}

impl ProvenAccount {
    /// The account as `owner`'s, if Stripe says that it is; `asked_at` is when Stripe was asked.
    #[must_use]
    pub fn of(account: Account, owner: UserId, asked_at: DateTime<Utc>) -> Option<Self> {
        (account.metadata.user_id == Some(owner)).then_some(Self {
            owner,
            account,
            asked_at,
        })
    }

    /// Whose it is.
    #[must_use]
    pub const fn owner(&self) -> UserId {
        self.owner
    }

    /// What Stripe said of it.
    #[must_use]
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// `acct_…`
    #[must_use]
    pub fn id(&self) -> &str {
        self.account.id.as_str()
    }

    /// When Stripe said so.
    #[must_use]
    pub const fn asked_at(&self) -> DateTime<Utc> {
        self.asked_at
    }
}

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
        match self.standing(owner, named).await? {
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
    pub async fn ask_again(&self, owner: UserId, account: &str) -> Result<bool, PayeeError> {
        let proven = self.prove(owner, account).await?;
        let conn = &mut self.db.conn().await?;
        let is_new = store::find(conn, account)
            .await?
            .is_none_or(|known| !known.is_what(&proven));
        if is_new {
            store::record(conn, &proven).await?;
        }
        Ok(is_new)
    }

    /// What Stripe says of the account `named`.
    pub(super) async fn standing(&self, owner: UserId, named: &str) -> Result<Standing, PayeeError> {
        let Ok(id) = named.parse::<AccountId>() else {
            return Ok(Standing::NotTheirs);
        };
        if self.platform().await?.id == id {
            return Ok(Standing::NotTheirs);
        }
        let asked_at = self.clock.now();
        let question = self.calls.gateway().retrieve_account(&id);
        match self.calls.ask(Lane::Onboarding, question).await {
            // Another object than was asked for says nothing about this one.
            Ok(account) if account.id != id => Ok(Standing::NotTheirs),
            Ok(account) => Ok(ProvenAccount::of(account, owner, asked_at)
                .map_or(Standing::NotTheirs, |account| Standing::Proven(Box::new(account)))),
            Err(CallError::Gateway(error)) if is_gone(&error) => Ok(Standing::Gone),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// The platform's own account, asked for once: a key belongs to one account for good, and an account to one country.
    pub(super) async fn platform(&self) -> Result<&Account, PayeeError> {
        let own = self.own.get_or_try_init(|| async {
            let question = self.calls.gateway().retrieve_own_account();
            let own = self.calls.ask(Lane::Onboarding, question).await;
            own.map_err(|error| self.failed(error))
        });
        own.await
    }
}

/// Whether Stripe refuses a question about a connected account because the platform has no such account (any more): 403 `account_invalid`, or 404
/// (<https://docs.stripe.com/error-codes#account-invalid>). Any other refusal may be about our key and says nothing about the account.
#[must_use]
pub fn is_gone(error: &GatewayError) -> bool {
    error.status == Some(404) || error.code.as_deref() == Some("account_invalid")
}
