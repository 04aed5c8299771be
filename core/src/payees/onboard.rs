//! Onboarding: a person gets a connected account, once, and a page of Stripe's on which to complete it.
//!
//! The only creating call that no job makes: the person waits for it. Its key and parameters are stored before the first try like any
//! other's, so asking again after a failure of any kind is safe and brings the same account.

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::json;
use url::Url;

use super::store;
use super::urls::back_to;
use crate::accept::{AcceptError, Caller};
use crate::audit::{self, Actor, AuditRecord};
use crate::clock::SharedClock;
use crate::db::{Db, DbError, in_transaction};
use crate::ids::{UserId, WalletId};
use crate::stripe::{
    Account, AccountId, CallError, CallOutcome, CreateAccount, CreateAccountLink, Disposition, Lane,
    StripeCalls,
};
use crate::wallets::{self, Wallet};

/// What a client asks for.
#[derive(Debug, Clone)]
pub struct OnboardInput {
    /// Where the person comes back to from Stripe's page.
    pub return_url: String,
    /// Where the person goes when the page's link was used or is too old: it asks for another one.
    pub refresh_url: String,
}

/// A connected account and the page on which its person completes it.
#[derive(Clone)]
pub struct Onboarding {
    /// `acct_…`
    pub account: AccountId,
    /// Where the person goes. Whoever has it is logged in as that person: it is shown to nobody else and never logged.
    pub url: String,
    /// Whether Stripe pays the account out.
    pub payouts_enabled: bool,
}

impl fmt::Debug for Onboarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Onboarding")
            .field("account", &self.account)
            .field("payouts_enabled", &self.payouts_enabled)
            .finish_non_exhaustive()
    }
}

/// Why there is no page; asking again is always safe.
#[derive(Debug, thiserror::Error)]
pub enum OnboardError {
    /// Refused, by us or by Stripe: asking again will not help before something else changes.
    #[error(transparent)]
    Refused(#[from] AcceptError),
    /// Calls to Stripe are paused.
    #[error("calls to the payment provider are paused for {seconds} s")]
    Paused {
        /// When to ask again.
        seconds: u64,
    },
    /// Stripe, or the way to it, failed.
    #[error("the payment provider is away or has not answered")]
    Away(#[source] CallError),
    /// Something is wrong with us.
    #[error("a call to the payment provider could not be made")]
    Broken(#[source] CallError),
}

impl From<DbError> for OnboardError {
    fn from(error: DbError) -> Self {
        Self::Refused(error.into())
    }
}

/// Opens connected accounts.
#[derive(Clone)]
pub struct Payees {
    db: Db,
    calls: StripeCalls,
    clock: SharedClock,
    live: bool,
}

impl fmt::Debug for Payees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payees")
            .field("calls", &self.calls)
            .finish_non_exhaustive()
    }
}

impl Payees {
    /// Onboarding over these calls; `live`: the key moves real money.
    #[must_use]
    pub const fn new(db: Db, calls: StripeCalls, clock: SharedClock, live: bool) -> Self {
        Self {
            db,
            calls,
            clock,
            live,
        }
    }

    /// Gives the caller a page on which to complete the account that `wallet` pays out to; one is made for all of the caller's wallets
    /// when there is none. Whatever the role, only for the caller's own: the page is a way into the account.
    ///
    /// # Errors
    /// See [`OnboardError`].
    pub async fn onboard(
        &self,
        caller: &Caller,
        wallet: &str,
        input: &OnboardInput,
    ) -> Result<Onboarding, OnboardError> {
        let return_url = back_to("returnUrl", &input.return_url, self.live)?;
        let refresh_url = back_to("refreshUrl", &input.refresh_url, self.live)?;
        let wallet = self.own_wallet(caller, wallet).await?;
        let asked_at = self.clock.now();
        let account = match wallet.stripe_account_id.as_deref() {
            Some(known) => self.named(caller.user_id, known).await?,
            None => self.made(caller.user_id, &wallet).await?,
        };
        self.record(caller, &wallet, &account, asked_at).await?;
        let url = self.link(&account.id, &return_url, &refresh_url).await?;
        Ok(Onboarding {
            account: account.id,
            url,
            payouts_enabled: account.payouts_enabled,
        })
    }

    async fn own_wallet(&self, caller: &Caller, wallet: &str) -> Result<Wallet, AcceptError> {
        let id: WalletId = wallet.parse().map_err(|_| AcceptError::WalletNotFound)?;
        let conn = &mut self.db.conn().await?;
        let wallet = wallets::find_owned(conn, id, caller.user_id)
            .await?
            .ok_or(AcceptError::WalletNotFound)?;
        if wallet.is_active {
            Ok(wallet)
        } else {
            Err(AcceptError::WalletInactive)
        }
    }

    /// The account that a wallet names already, if it is the person's.
    async fn named(&self, user: UserId, known: &str) -> Result<Account, OnboardError> {
        let is_other = {
            let conn = &mut self.db.conn().await?;
            let recorded = store::find(conn, known).await?;
            recorded.is_some_and(|account| account.user_id != user)
                || wallets::others_name_account(conn, known, user).await?
        };
        let account = self.retrieve(known).await?;
        match account.metadata.user_id {
            Some(owner) if owner == user => Ok(account),
            // Nobody says whose it is: then it must not be somebody else's in our rows.
            None if !is_other => Ok(account),
            _ => Err(invalid_state(
                "the wallet's payout account belongs to somebody else; ask support".to_owned(),
            )),
        }
    }

    /// The account of the person: the same one, however often it is asked for.
    async fn made(&self, user: UserId, wallet: &Wallet) -> Result<Account, OnboardError> {
        let call = CreateAccount {
            user_id: user,
            currency: wallet.currency(),
        };
        let outcome = match self.calls.run_unclaimed(user.uuid(), call.clone()).await {
            Err(CallError::LookUpFirst(look_up)) => {
                // An account moves no money before a wallet names it: one made twice does no harm.
                tracing::warn!(key = %look_up.key, "the outcome of an account's creation stays unknown; it is made again");
                self.calls
                    .resolve_absent(&look_up.key)
                    .await
                    .map_err(|error| self.failed(error))?;
                self.calls.run_unclaimed(user.uuid(), call).await
            }
            outcome => outcome,
        };
        match outcome.map_err(|error| self.failed(error))? {
            CallOutcome::Fresh(account) => Ok(account),
            CallOutcome::Recorded { object_id } => self.retrieve(&object_id).await,
        }
    }

    async fn retrieve(&self, account: &str) -> Result<Account, OnboardError> {
        let id: AccountId = account
            .parse()
            .map_err(|_| invalid_state("the wallet's payout account is no Stripe account".to_owned()))?;
        let question = self.calls.gateway().retrieve_account(&id);
        match self.calls.ask(Lane::Onboarding, question).await {
            // Removed, or closed to this platform; Stripe does not say which.
            Err(CallError::Gateway(error)) if is_refusal(error.disposition()) => Err(invalid_state(
                "the wallet's payout account is not open to this platform; ask support".to_owned(),
            )),
            answer => answer.map_err(|error| self.failed(error)),
        }
    }

    /// Writes down whose account it is and what Stripe says of it, and lets the person's wallets that have none pay out to it.
    async fn record(
        &self,
        caller: &Caller,
        wallet: &Wallet,
        account: &Account,
        asked_at: DateTime<Utc>,
    ) -> Result<(), AcceptError> {
        let (user, id) = (caller.user_id, account.id.as_str());
        in_transaction!(self.db, conn => {
            let now = self.clock.now();
            let reason = account.disabled_reason.as_deref();
            store::record(conn, id, user, account.payouts_enabled, reason, asked_at).await?;
            let mut named = wallets::record_account(conn, user, id, now).await?;
            if !named.contains(&wallet.id) {
                named.push(wallet.id);
            }
            let entry = AuditRecord {
                at: now,
                actor: &Actor::User(user),
                action: "onboard_payouts",
                request_id: caller.request_id.as_deref(),
                transactions: &[],
                wallets: &named,
                detail: json!({ "account": id, "payouts_enabled": account.payouts_enabled, "role": caller.role.as_str() }),
            };
            audit::record(conn, &entry).await?;
            Ok::<_, AcceptError>(())
        })
    }

    async fn link(
        &self,
        account: &AccountId,
        return_url: &Url,
        refresh_url: &Url,
    ) -> Result<String, OnboardError> {
        let wanted = CreateAccountLink {
            account: account.clone(),
            return_url: return_url.to_string(),
            refresh_url: refresh_url.to_string(),
        };
        let question = self.calls.gateway().create_account_link(&wanted);
        let link = self.calls.ask(Lane::Onboarding, question).await;
        Ok(link.map_err(|error| self.failed(error))?.url)
    }

    fn failed(&self, error: CallError) -> OnboardError {
        match error {
            CallError::LaneClosed(closed) => {
                let left = closed.until.signed_duration_since(self.clock.now()).num_seconds();
                OnboardError::Paused {
                    seconds: u64::try_from(left).unwrap_or_default().saturating_add(1),
                }
            }
            CallError::Db(error) => error.into(),
            CallError::Crypto(error) => OnboardError::Refused(error.into()),
            CallError::Gateway(error) if is_refusal(error.disposition()) => {
                let code = error.code.map(|code| format!(" ({code})")).unwrap_or_default();
                invalid_state(format!("{}{code}", error.message))
            }
            error => match error.disposition() {
                Disposition::NeedsReview => OnboardError::Broken(error),
                _ => OnboardError::Away(error),
            },
        }
    }
}

/// Whether Stripe has answered, and will not answer otherwise.
const fn is_refusal(disposition: Disposition) -> bool {
    matches!(
        disposition,
        Disposition::FailDefinite | Disposition::AwaitPayer | Disposition::WaitForFunds
    )
}

fn invalid_state(sentence: String) -> OnboardError {
    OnboardError::Refused(AcceptError::InvalidState(sentence))
}
