//! Accepting a withdrawal from the caller's wallet to its bank.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;

use super::idempotency::{self, Fingerprint, IdempotencyKey, KeyUse, Subject};
use super::{AcceptError, Acceptor, Caller, checks, text};
use crate::db::{PgConn, in_transaction};
use crate::ids::TransactionId;
use crate::ids::stripe::{AccountId, ExternalAccountId};
use crate::jobs::JobKind;
use crate::money::Money;
use crate::payees::{self, PayeeAccount};
use crate::transactions::{Flow, Transaction};
use crate::wallets::{self, Wallet};

/// A client's request for a withdrawal.
#[derive(Debug, Clone, Default, Serialize)]
pub struct WithdrawInput {
    /// The amount in major units, as written by the client.
    pub amount: String,
    /// `ba_…` or `card_…`: the external account of the connected account to pay out to; if left out, its default one. Stored sealed.
    pub bank_id: Option<String>,
    /// The account holder's name, for the record. Stored sealed.
    pub account_name: Option<String>,
    /// The client's own description.
    pub description: Option<String>,
    /// The client's own reference.
    pub reference: Option<String>,
    /// The client's own data.
    pub metadata: Option<Value>,
}

impl Acceptor {
    /// Accepts a withdrawal from `wallet`.
    ///
    /// # Errors
    /// Any [`AcceptError`]; nothing is stored in that case.
    pub async fn withdraw(
        &self,
        caller: &Caller,
        wallet: &str,
        input: &WithdrawInput,
        key: Option<&IdempotencyKey>,
    ) -> Result<Transaction, AcceptError> {
        let wallet_id = checks::wallet_id(wallet)?;
        text::description(input.description.as_deref())?;
        text::reference(input.reference.as_deref())?;
        text::line("accountName", input.account_name.as_deref(), 255)?;
        text::object("metadata", input.metadata.as_ref())?;
        let _: Option<ExternalAccountId> =
            checks::stripe_id("bankId", input.bank_id.as_deref(), &["ba_", "card_"])?;
        let id = TransactionId::from_uuid(self.ids.next());
        let seal = async |column, value| {
            self.seal("wallet_transactions", column, id.uuid(), caller.user_id, value)
                .await
        };
        let bank_id = seal("encrypted_bank_id", input.bank_id.clone()).await?;
        let account_name = seal("encrypted_account_name", input.account_name.clone()).await?;
        let digester = self.digester().await?;
        let accepted = in_transaction!(self.db, conn => {
            let who_may = "only the owner of a wallet may withdraw from it";
            let wallet = checks::own_wallet(conn, caller, wallet_id, who_may).await?;
            let amount = checks::amount(&input.amount, wallet.currency())?;
            let normal = WithdrawInput { amount: amount.to_string(), ..input.clone() };
            let fingerprint = Fingerprint::of(&digester, "withdraw", &(wallet_id, normal));
            let subject = Subject::Transaction(id);
            if let KeyUse::Repeated(subject) =
                idempotency::take(conn, caller.user_id, key, &fingerprint, subject, self.clock.now()).await?
            {
                return Self::repeated(conn, subject).await;
            }
            checks::active(&wallet)?;
            let Some(account) = wallet.stripe_account_id.clone() else {
                return Err(AcceptError::InvalidState(
                    "the wallet has no payout account; create it with stripeAccountId, or call onboardPayouts or changePayoutAccount first".to_owned(),
                ));
            };
            paid_out(conn, &wallet, &account).await?;
            let changed = wallets::payout_account_changed(conn, wallet.user_id, &account).await?;
            cooled_off(changed, self.cool_off, self.clock.now())?;
            payable(amount)?;
            checks::spendable(&wallet, amount)?;
            checks::room_for_payment(conn, &wallet, &self.limits).await?;
            let mut new = self.pending(id, Flow::Withdrawal, &wallet, amount);
            new.stripe_account_id = Some(account);
            new.encrypted_bank_id.clone_from(&bank_id);
            new.encrypted_account_name.clone_from(&account_name);
            new.description.clone_from(&input.description);
            new.reference.clone_from(&input.reference);
            new.metadata.clone_from(&input.metadata);
            Ok(self.write(conn, caller, &new, JobKind::WithdrawalHold).await?)
        })?;
        Ok(self.dispatched(accepted).await)
    }
}

/// Checks that Stripe pays the account out, by what it has reported so far. A caller who is refused may read the account from Stripe again
/// ([`crate::accept::Payees::ask_again`]), since a report can be missed.
async fn paid_out(conn: &mut PgConn, wallet: &Wallet, account: &AccountId) -> Result<(), AcceptError> {
    // No report of Stripe is stored for an account that an earlier version named: the worker reads it before it sends anything.
    let Some(known) = payees::find(conn, account).await? else {
        return Ok(());
    };
    if known.user_id != wallet.user_id {
        return Err(AcceptError::InvalidState(
            "the wallet's payout account belongs to somebody else; name yours with changePayoutAccount"
                .to_owned(),
        ));
    }
    let Some(sentence) = not_ready(wallet, &known) else {
        return Ok(());
    };
    Err(AcceptError::PayoutAccountNotReady {
        account: known.account_id,
        sentence,
    })
}

/// Returns why nothing of the wallet can be paid out to the account, as Stripe last described it, or `None` if it can.
fn not_ready(wallet: &Wallet, known: &PayeeAccount) -> Option<String> {
    if known.payouts_enabled {
        return not_payable_in(wallet, known.bank_currencies.as_deref());
    }
    let why = known
        .disabled_reason
        .as_ref()
        .map(|reason| format!(" ({reason})"))
        .unwrap_or_default();
    Some(format!(
        "Stripe does not pay out to the wallet's account yet{why}; call onboardPayouts and complete what Stripe asks for"
    ))
}

/// Returns the refusal if the account has no bank account in the wallet's currency. One account serves all wallets of a person, and Stripe pays
/// out in a currency only to a bank account of that currency (<https://docs.stripe.com/payouts/multicurrency-settlement>).
fn not_payable_in(wallet: &Wallet, banks: Option<&[String]>) -> Option<String> {
    let currency = wallet.currency();
    let is_lacking = banks.is_some_and(|banks| !banks.iter().any(|code| code == currency.code()));
    is_lacking.then(|| {
        format!(
            "the payout account has no bank account in {currency}; add one on the page of onboardPayouts, or name another account with \
             changePayoutAccount"
        )
    })
}

/// Checks that enough time has passed since the person changed to this payout account, in any of their wallets, for the owner to notice
/// the change and object.
fn cooled_off(
    changed: Option<DateTime<Utc>>,
    cool_off: TimeDelta,
    now: DateTime<Utc>,
) -> Result<(), AcceptError> {
    let opens = changed.and_then(|changed| changed.checked_add_signed(cool_off));
    match opens {
        Some(opens) if now < opens => Err(AcceptError::InvalidState(format!(
            "the payout account was changed; withdrawals are open again from {}",
            opens.to_rfc3339_opts(SecondsFormat::Secs, true)
        ))),
        _ => Ok(()),
    }
}

/// Refuses an amount that a bank could not receive; the error names the fix.
fn payable(amount: Money) -> Result<(), AcceptError> {
    let currency = amount.currency();
    if currency.whole_payouts_only() && !amount.amount().fract().is_zero() {
        return Err(AcceptError::validation(
            "amount",
            format!("must be whole {currency}, since it is paid out"),
        ));
    }
    let least = Money::from_minor(currency.minimum_payout_minor(), currency)
        .map_err(|error| AcceptError::validation("amount", error.to_string()))?;
    if amount.amount() < least.amount() {
        return Err(AcceptError::validation(
            "amount",
            format!("is below the smallest payout of {least}"),
        ));
    }
    Ok(())
}
