//! Onboarding: a person gets a connected account, once, and a page at Stripe on which to complete it.
//!
//! Opening the account is the only creating call that no job makes, because the person waits for it. Its key and parameters are stored before
//! the first attempt, as for any other call, so repeating the request after any failure is safe and returns the same account.

mod change;
mod error;
mod ownership;
mod urls;

use std::fmt;
use std::sync::Arc;

use serde_json::json;
use tokio::sync::OnceCell;
use url::Url;

pub use error::PayeeError;
use ownership::Ownership;
pub use urls::LONGEST_URL;
use urls::back_to;

use super::{AcceptError, Caller, checks};
use crate::alarms::{self, AlarmKind};
use crate::audit::{self, Actor, AuditRecord};
use crate::clock::SharedClock;
use crate::db::{Db, in_transaction};
use crate::ids::{UserId, WalletId};
use crate::payees::{self, DISCONNECTED, ProvenAccount};
use crate::stripe::{
    Account, AccountId, CallError, Country, CreateAccount, CreateAccountLink, Disposition, Lane, Made,
    Opening, Operation, StripeCalls,
};
use crate::wallets::{self, Wallet};

/// The subject of an alarm that concerns the whole platform.
const PLATFORM: &str = "platform";

/// A client's request for onboarding.
#[derive(Debug, Clone)]
pub struct OnboardInput {
    /// The URL to which the person returns from Stripe's page.
    pub return_url: String,
    /// The URL to which the person is sent if the link was used before or has expired; the page there must request another link.
    pub refresh_url: String,
    /// The country in which the person lives, as two letters, if it is not the platform's. It is used when the account is opened, and never changes.
    pub country: Option<String>,
}

/// A connected account and the page on which the person completes it.
#[derive(Clone)]
pub struct Onboarding {
    /// `acct_…`
    pub account: AccountId,
    /// The page's URL. It logs its holder in as that person, so it is shown to nobody else and never logged.
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

/// Opens connected accounts, and checks whose they are.
#[derive(Debug, Clone)]
pub struct Payees {
    pub(super) db: Db,
    pub(super) calls: StripeCalls,
    pub(super) clock: SharedClock,
    /// The platform's own account, once it was read from Stripe.
    pub(super) own: Arc<OnceCell<Account>>,
    live: bool,
}

/// Refuses a country other than the account's: one account serves all wallets of a person, and its country never changes
/// (<https://docs.stripe.com/api/accounts/create#create_account-country>).
fn fits(asked: Option<&Country>, account: &Account) -> Result<(), AcceptError> {
    let is_in = account.country.as_deref();
    match (asked.map(Country::code), is_in) {
        (Some(asked), Some(is_in)) if asked != is_in => Err(AcceptError::validation(
            "country",
            format!(
                "is {is_in} for your payout account, which serves all your wallets, and never changes; leave it out, or name an account in {asked} with \
                 changePayoutAccount"
            ),
        )),
        _ => Ok(()),
    }
}

impl Payees {
    /// Creates onboarding through these calls; `live` is whether the key moves real money.
    #[must_use]
    pub fn new(db: Db, calls: StripeCalls, clock: SharedClock, live: bool) -> Self {
        Self {
            db,
            calls,
            clock,
            own: Arc::default(),
            live,
        }
    }

    /// Returns a page on which the caller completes the account that `wallet` pays out to; if there is none, opens one for all of the caller's
    /// wallets. Whatever the caller's role, the wallet must be the caller's own, because the page gives access to the account.
    ///
    /// # Errors
    /// See [`PayeeError`].
    pub async fn onboard(
        &self,
        caller: &Caller,
        wallet: &str,
        input: &OnboardInput,
    ) -> Result<Onboarding, PayeeError> {
        let return_url = back_to("returnUrl", &input.return_url, self.live)?;
        let refresh_url = back_to("refreshUrl", &input.refresh_url, self.live)?;
        let country = input.country.as_deref().map(str::parse::<Country>).transpose();
        let country = country.map_err(|error| AcceptError::validation("country", error.to_string()))?;
        let who_may = "only the owner of a wallet may open its payout account";
        let wallet = self.own_wallet(caller, wallet, who_may).await?;
        let (proven, replaced) = self.account_of(caller.user_id, &wallet, country.clone()).await?;
        fits(country.as_ref(), proven.account())?;
        self.record(caller, &wallet, &proven, replaced.as_ref()).await?;
        let account = proven.account();
        let url = self.link(&account.id, &return_url, &refresh_url).await?;
        Ok(Onboarding {
            account: account.id.clone(),
            url,
            payouts_enabled: account.payouts_enabled,
        })
    }

    pub(super) async fn own_wallet(
        &self,
        caller: &Caller,
        wallet: &str,
        who_may: &'static str,
    ) -> Result<Wallet, AcceptError> {
        let id: WalletId = wallet.parse().map_err(|_| AcceptError::WalletNotFound)?;
        let conn = &mut self.db.conn().await?;
        let wallet = checks::own_wallet(conn, caller, id, who_may).await?;
        if wallet.is_active {
            Ok(wallet)
        } else {
            Err(AcceptError::WalletInactive)
        }
    }

    /// Returns the account to onboard, and the lost account that it replaces, if any.
    async fn account_of(
        &self,
        user: UserId,
        wallet: &Wallet,
        country: Option<Country>,
    ) -> Result<(ProvenAccount, Option<AccountId>), PayeeError> {
        let Some(named) = &wallet.stripe_account_id else {
            return match self.of_another_wallet(user).await? {
                Some(account) => Ok((account, None)),
                None => Ok((self.made(user, wallet, country).await?, None)),
            };
        };
        match self.ownership(user, named).await? {
            Ownership::Proven(account) => Ok((*account, None)),
            Ownership::NotTheirs => Err(PayeeError::invalid_state(
                "Stripe does not say that the wallet's payout account is yours; name another one with changePayoutAccount, or ask support",
            )),
            Ownership::Gone => Ok((self.made(user, wallet, country).await?, Some(named.clone()))),
        }
    }

    /// Returns the account that another wallet of the person pays out to, since one serves all of them; `None` if it is no longer the person's, or
    /// the platform has no access to it.
    async fn of_another_wallet(&self, user: UserId) -> Result<Option<ProvenAccount>, PayeeError> {
        let named = wallets::account_of_person(&mut *self.db.conn().await?, user).await?;
        let Some(named) = named else { return Ok(None) };
        Ok(match self.ownership(user, &named).await? {
            Ownership::Proven(account) => Some(*account),
            Ownership::NotTheirs | Ownership::Gone => None,
        })
    }

    /// Returns the account of the person, or opens it: always the same one, for as long as the platform has access to it.
    async fn made(
        &self,
        user: UserId,
        wallet: &Wallet,
        country: Option<Country>,
    ) -> Result<ProvenAccount, PayeeError> {
        let call = CreateAccount {
            user_id: user,
            currency: wallet.currency(),
            opening: self.opening(country).await?,
        };
        let asked_at = self.clock.now();
        let mut made = self.create(user, &call).await?;
        if made.answer.is_none() {
            match self.ownership(user, &made.id).await? {
                Ownership::Proven(account) => return Ok(*account),
                Ownership::NotTheirs => {
                    return Err(PayeeError::invalid_state(
                        "Stripe does not say any more that your payout account is yours; ask support",
                    ));
                }
                Ownership::Gone => {
                    self.calls
                        .forget(Operation::Account, user.uuid(), made.id.as_str())
                        .await
                        .map_err(|error| self.failed(error))?;
                    made = self.create(user, &call).await?;
                }
            }
        }
        let account = match made.answer {
            Some(account) => ProvenAccount::of(account, user, asked_at),
            // A concurrent request made the account first.
            None => match self.ownership(user, &made.id).await? {
                Ownership::Proven(account) => Some(*account),
                Ownership::NotTheirs | Ownership::Gone => None,
            },
        };
        account.ok_or_else(|| PayeeError::invalid_state("your payout account is being opened; ask again"))
    }

    /// Returns how to open an account for a person in `country`, or, if none is given, in the platform's own country.
    async fn opening(&self, country: Option<Country>) -> Result<Option<Opening>, PayeeError> {
        let platform = self.platform().await?.country.as_deref();
        let Some(platform) = platform.and_then(|code| code.parse::<Country>().ok()) else {
            return match country {
                None => Ok(None),
                Some(_) => Err(PayeeError::invalid_state(
                    "Stripe does not say in which country the platform is; leave the country out, or ask support",
                )),
            };
        };
        let country = country.unwrap_or_else(|| platform.clone());
        Ok(Some(Opening::of(&platform, country)))
    }

    async fn create(&self, user: UserId, call: &CreateAccount) -> Result<Made<Account>, PayeeError> {
        let outcome = match self.calls.run_unclaimed(user.uuid(), call.clone()).await {
            // An account moves no money before a wallet names it, so making one twice does no harm.
            Err(CallError::MadeNothing) => self.calls.run_unclaimed(user.uuid(), call.clone()).await,
            outcome => outcome,
        };
        match outcome {
            // An account that was made earlier does not show that Stripe opens accounts now.
            Ok(made) => {
                if made.answer.is_some() {
                    let conn = &mut self.db.conn().await?;
                    alarms::close(conn, AlarmKind::OnboardingRefused, PLATFORM, self.clock.now()).await?;
                }
                Ok(made)
            }
            Err(CallError::Stripe(error)) if error.param.as_deref() == Some("country") => {
                Err(AcceptError::validation(
                    "country",
                    "is none in which Stripe opens payout accounts for this platform",
                )
                .into())
            }
            Err(CallError::Stripe(error)) if error.param.as_deref() == Some("default_currency") => {
                Err(AcceptError::validation(
                    "country",
                    format!(
                        "is none in which Stripe pays out in {}; a wallet in the currency of that country can be paid out there",
                        call.currency
                    ),
                )
                .into())
            }
            Err(CallError::Stripe(error)) if is_of_platform(error.disposition()) => {
                // The refusal has nothing to do with the person: the next account would be refused as well.
                let message = format!(
                    "Stripe refuses to open connected accounts: {}; complete the platform's Connect settings at Stripe, or its key's permissions",
                    error.for_operators()
                );
                let conn = &mut self.db.conn().await?;
                alarms::raise(conn, AlarmKind::OnboardingRefused, PLATFORM, &message, self.clock.now()).await?;
                Err(PayeeError::invalid_state(
                    "payout accounts cannot be opened at present; support has been told and will fix it",
                ))
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Records what Stripe says of the account, and makes the person's wallets that have no account, or the lost one, pay out to it. The lost
    /// account stays on record, closed.
    async fn record(
        &self,
        caller: &Caller,
        wallet: &Wallet,
        account: &ProvenAccount,
        replaced: Option<&AccountId>,
    ) -> Result<(), AcceptError> {
        let (user, id) = (caller.user_id, account.id());
        in_transaction!(self.db, conn => {
            let now = self.clock.now();
            // The person is always locked before the rows that concern the person.
            wallets::lock_person(conn, user).await?;
            payees::record(conn, account).await?;
            if let Some(lost) = replaced {
                payees::close(conn, lost, user, DISCONNECTED, now).await?;
            }
            let mut named = wallets::record_account(conn, user, id, replaced, now).await?;
            if !named.contains(&wallet.id) {
                named.push(wallet.id);
            }
            let actor = Actor::User(user);
            let entry = AuditRecord {
                request_id: caller.request_id.as_deref(),
                wallets: &named,
                detail: json!({ "account": id, "replaced": replaced, "payouts_enabled": account.account().payouts_enabled,
                                "role": caller.role.as_str() }),
                ..AuditRecord::new(now, &actor, "onboard_payouts")
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
    ) -> Result<String, PayeeError> {
        let wanted = CreateAccountLink {
            account: account.clone(),
            return_url: return_url.to_string(),
            refresh_url: refresh_url.to_string(),
        };
        let question = self.calls.client().create_account_link(&wanted);
        let link = self.calls.ask(Lane::Onboarding, question).await;
        Ok(link.map_err(|error| self.failed(error))?.url)
    }

    pub(super) fn failed(&self, error: CallError) -> PayeeError {
        match error {
            CallError::LaneClosed(closed) => {
                let left = closed.until.signed_duration_since(self.clock.now()).num_seconds();
                PayeeError::Paused {
                    seconds: u64::try_from(left).unwrap_or_default().saturating_add(1),
                }
            }
            CallError::Db(error) => error.into(),
            CallError::Crypto(error) => PayeeError::Refused(error.into()),
            CallError::Stripe(error) if is_refusal(error.disposition()) => {
                let code = error.code.map(|code| format!(" ({code})")).unwrap_or_default();
                PayeeError::invalid_state(format!("{}{code}", error.message))
            }
            error => match error.disposition() {
                Disposition::NeedsReview => PayeeError::Broken(error),
                _ => PayeeError::Away(error),
            },
        }
    }
}

/// Whether the refusal of a new account concerns the platform: only country and currency differ between people.
const fn is_of_platform(disposition: Disposition) -> bool {
    matches!(
        disposition,
        Disposition::FailDefinite | Disposition::RetryThenReview
    )
}

/// Whether Stripe has refused the call, and would refuse it again.
const fn is_refusal(disposition: Disposition) -> bool {
    matches!(
        disposition,
        Disposition::FailDefinite | Disposition::AwaitPayer | Disposition::WaitForFunds
    )
}
