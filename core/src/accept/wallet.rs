//! Creating a wallet: there is no job for it, so it is done as soon as it is accepted.

use crate::crypto::Digester;
use crate::db::{PgConn, in_transaction};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::idempotency::{self, Fingerprint, IdempotencyKey, KeyUse, Subject};
use super::{AcceptError, Acceptor, Caller, checks, text};
use crate::audit::{self, Actor, AuditRecord};
use crate::ids::stripe::AccountId;
use crate::ids::{UserId, WalletId};
use crate::money::{Currency, Money};
use crate::payees::{self, ProvenAccount};
use crate::wallets::{self, Wallet};

/// The bank account to which a person is paid; sealed as a whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BankDetails {
    /// The account holder's name.
    pub account_name: String,
    /// The account's number or IBAN.
    pub account_number: String,
    /// The bank's routing number.
    pub routing_number: Option<String>,
    /// The bank's name.
    pub bank_name: Option<String>,
    /// The bank's country, as a code of two letters.
    pub country: Option<String>,
}

/// A client's request for a wallet.
#[derive(Debug, Clone, Serialize)]
pub struct CreateWalletInput {
    /// The owner, if that is not the caller.
    pub user_id: Option<String>,
    /// The currency's code, in upper or lower case.
    pub currency: String,
    /// The bank account to which the owner is paid.
    pub bank_details: Option<BankDetails>,
    /// `acct_…`: the connected account that withdrawals go to.
    pub stripe_account_id: Option<String>,
}

/// A checked request for a wallet: its input is valid, and the caller may create a wallet for this owner.
#[derive(Debug, Clone)]
pub struct NewWallet {
    owner: UserId,
    currency: Currency,
    /// The input as it is compared with that of a repeated request: with the owner and a normalised currency code.
    input: CreateWalletInput,
}

impl NewWallet {
    /// Checks a client's request.
    ///
    /// # Errors
    /// If a field is wrong, or the wallet is for somebody else and the caller's role does not allow that.
    pub fn checked(caller: &Caller, input: CreateWalletInput) -> Result<Self, AcceptError> {
        let owner = owner(caller, input.user_id.as_deref())?;
        let currency: Currency =
            input
                .currency
                .parse()
                .map_err(|error: crate::money::UnsupportedCurrency| {
                    AcceptError::validation("currency", error.to_string())
                })?;
        if let Some(new) = currency.replaced_by() {
            return Err(AcceptError::validation(
                "currency",
                format!("was replaced by {new}: use that"),
            ));
        }
        let _: Option<AccountId> =
            checks::stripe_id("stripeAccountId", input.stripe_account_id.as_deref(), &["acct_"])?;
        check_bank(input.bank_details.as_ref())?;
        let input = CreateWalletInput {
            user_id: Some(owner.to_string()),
            currency: currency.to_string(),
            ..input
        };
        Ok(Self {
            owner,
            currency,
            input,
        })
    }

    /// The owner of the new wallet.
    #[must_use]
    pub const fn owner(&self) -> UserId {
        self.owner
    }

    /// The connected account that it names, if any; Stripe must first confirm that it is the owner's.
    #[must_use]
    pub fn names_account(&self) -> Option<&str> {
        self.input.stripe_account_id.as_deref()
    }

    fn fingerprint<'a>(&self, digester: &'a Digester) -> Fingerprint<'a> {
        Fingerprint::of(digester, "createWallet", &self.input)
    }
}

impl Acceptor {
    /// Returns the wallet that `key` already stands for, if any, so that a repeated request is answered without Stripe.
    ///
    /// # Errors
    /// If the key stands for something else, or the database cannot be reached.
    pub async fn wallet_of_key(
        &self,
        caller: &Caller,
        new: &NewWallet,
        key: Option<&IdempotencyKey>,
    ) -> Result<Option<Wallet>, AcceptError> {
        let digester = self.digester().await?;
        let conn = &mut self.db.conn().await?;
        match idempotency::known(conn, caller.user_id, key, &new.fingerprint(&digester)).await? {
            Some(subject) => Ok(Some(Self::repeated_wallet(conn, subject).await?)),
            None => Ok(None),
        }
    }

    /// Creates a wallet, active and empty. `account` is the account that `new` names, if it names one.
    ///
    /// # Errors
    /// Any [`AcceptError`]; nothing is stored in that case.
    pub async fn create_wallet(
        &self,
        caller: &Caller,
        new: &NewWallet,
        account: Option<&ProvenAccount>,
        key: Option<&IdempotencyKey>,
    ) -> Result<Wallet, AcceptError> {
        let (owner, currency) = (new.owner, new.currency);
        let is_proven = match (new.names_account(), account) {
            (None, None) => true,
            (Some(named), Some(proven)) => proven.id().as_str() == named && proven.owner() == owner,
            _ => false,
        };
        if !is_proven {
            return Err(AcceptError::validation("stripeAccountId", "must be proven first"));
        }
        let id = WalletId::from_uuid(self.ids.next());
        let details = new
            .input
            .bank_details
            .as_ref()
            .and_then(|details| serde_json::to_string(details).ok());
        let encrypted_bank_details = self
            .seal("wallets", "encrypted_bank_details", id.uuid(), owner, details)
            .await?;
        let digester = self.digester().await?;
        let fingerprint = new.fingerprint(&digester);
        in_transaction!(self.db, conn => {
            let now = self.clock.now();
            let taken = idempotency::take(conn, caller.user_id, key, &fingerprint, Subject::Wallet(id), now).await?;
            if let KeyUse::Repeated(subject) = taken {
                return Self::repeated_wallet(conn, subject).await;
            }
            if !self.settlement_currencies.offer(currency) {
                let fix = format!("must be one of {}: this platform is paid in no other", self.settlement_currencies);
                return Err(AcceptError::validation("currency", fix));
            }
            checks::room_for_wallet(conn, owner, currency, &self.limits).await?;
            if let Some(account) = account {
                payees::record(conn, account).await?;
            }
            // An account other than the one that the person has been paid to is a change, even if a new wallet names it.
            let is_change = match account {
                Some(account) => wallets::note_account(conn, owner, account.id(), now).await?,
                None => false,
            };
            let new = Wallet {
                id,
                user_id: owner,
                balance: Money::zero(currency),
                frozen_balance: Money::zero(currency),
                stripe_customer_id: wallets::customer_of(conn, owner).await?,
                stripe_account_id: account.map(|account| account.id().clone()),
                payout_account_changed_at: is_change.then_some(now),
                encrypted_bank_details: encrypted_bank_details.clone(),
                is_active: true,
                created_at: now,
                updated_at: now,
            };
            wallets::insert(conn, &new).await?;
            let actor = Actor::User(caller.user_id);
            let entry = AuditRecord {
                request_id: caller.request_id.as_deref(),
                wallets: &[id],
                detail: json!({ "owner": owner, "currency": currency, "account": new.stripe_account_id,
                                "role": caller.role.as_str() }),
                ..AuditRecord::new(now, &actor, "create_wallet")
            };
            audit::record(conn, &entry).await?;
            Ok(new)
        })
    }

    async fn repeated_wallet(conn: &mut PgConn, subject: Subject) -> Result<Wallet, AcceptError> {
        let Subject::Wallet(id) = subject else {
            return Err(AcceptError::IdempotencyConflict);
        };
        wallets::find(conn, id).await?.ok_or(AcceptError::WalletNotFound)
    }
}

fn owner(caller: &Caller, named: Option<&str>) -> Result<UserId, AcceptError> {
    let Some(named) = named else {
        return Ok(caller.user_id);
    };
    let named: UserId = named
        .parse()
        .map_err(|_| AcceptError::validation("userId", "must be a UUID"))?;
    if named == caller.user_id || caller.role.creates_for_others() {
        Ok(named)
    } else {
        Err(AcceptError::Forbidden(
            "only an operator may create wallets for others: leave userId out",
        ))
    }
}

fn check_bank(details: Option<&BankDetails>) -> Result<(), AcceptError> {
    let Some(details) = details else { return Ok(()) };
    let required = |field, text: &str, most| {
        if text.trim().is_empty() {
            return Err(AcceptError::validation(field, "must not be empty"));
        }
        text::line(field, Some(text), most)
    };
    required("bankDetails.accountName", &details.account_name, 255)?;
    required("bankDetails.accountNumber", &details.account_number, 64)?;
    text::line("bankDetails.routingNumber", details.routing_number.as_deref(), 64)?;
    text::line("bankDetails.bankName", details.bank_name.as_deref(), 255)?;
    let country = details.country.as_deref();
    if country.is_some_and(|code| code.len() != 2 || !code.bytes().all(|byte| byte.is_ascii_alphabetic())) {
        return Err(AcceptError::validation(
            "bankDetails.country",
            "must be a country code of two letters",
        ));
    }
    Ok(())
}
