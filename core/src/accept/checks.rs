//! Checks that several requests share.

use std::str::FromStr;

use super::{AcceptError, Caller};
use crate::config::PersonLimits;
use crate::db::PgConn;
use crate::ids::{TransactionId, UserId, WalletId};
use crate::money::{Currency, Money, parse_amount};
use crate::transactions::{self, Transaction};
use crate::wallets::{self, Wallet};

/// Parses the id of a wallet that a client sent. A malformed id is treated like one that does not exist.
pub(super) fn wallet_id(text: &str) -> Result<WalletId, AcceptError> {
    text.parse().map_err(|_| AcceptError::WalletNotFound)
}

/// Parses the id of a transaction, in the same way as [`wallet_id`].
pub(super) fn transaction_id(text: &str) -> Result<TransactionId, AcceptError> {
    text.parse().map_err(|_| AcceptError::TransactionNotFound)
}

/// Returns a transaction that the caller may see: any, for a role that reads other people's data; otherwise only one of the caller's own
/// wallets. Whether the caller may also change it is for the calling function to check.
pub(super) async fn seen_transaction(
    conn: &mut PgConn,
    caller: &Caller,
    id: TransactionId,
) -> Result<Transaction, AcceptError> {
    let found = if caller.role.reads_others() {
        transactions::find(conn, id).await?
    } else {
        transactions::find_visible(conn, id, caller.user_id).await?
    };
    found.ok_or(AcceptError::TransactionNotFound)
}

/// Returns the caller's own wallet. If it is somebody else's, a caller who may read other people's data is refused with `who_may`; to all
/// others it looks like a wallet that does not exist.
pub(crate) async fn own_wallet(
    conn: &mut PgConn,
    caller: &Caller,
    id: WalletId,
    who_may: &'static str,
) -> Result<Wallet, AcceptError> {
    match wallets::find(conn, id).await? {
        Some(wallet) if wallet.user_id == caller.user_id => Ok(wallet),
        Some(_) if caller.role.reads_others() => Err(AcceptError::Forbidden(who_may)),
        _ => Err(AcceptError::WalletNotFound),
    }
}

/// Refuses a wallet that was deactivated. Only new requests are checked: a repeated key gets its old answer.
pub(super) fn active(wallet: &Wallet) -> Result<(), AcceptError> {
    if wallet.is_active {
        Ok(())
    } else {
        Err(AcceptError::WalletInactive)
    }
}

/// Refuses one more wallet than a person may have. A concurrent request for another wallet of the same person waits until this
/// database transaction ends, so that two requests cannot both take the last place.
pub(super) async fn room_for_wallet(
    conn: &mut PgConn,
    owner: UserId,
    currency: Currency,
    limits: &PersonLimits,
) -> Result<(), AcceptError> {
    let held = wallets::count_locked(conn, owner, currency).await?;
    let (most, most_of_currency) = (limits.wallets.get(), limits.wallets_of_currency.get());
    if held.of_currency >= i64::from(most_of_currency) {
        return Err(AcceptError::LimitExceeded(format!(
            "a person may have {most_of_currency} wallets in {currency}; use one of them"
        )));
    }
    if held.all >= i64::from(most) {
        return Err(AcceptError::LimitExceeded(format!(
            "a person may have {most} wallets; use one of them"
        )));
    }
    Ok(())
}

/// Refuses one more deposit or withdrawal than a wallet may have under way. Requests that are accepted at the same moment do not see
/// each other, so the limit may be exceeded by as many requests as one person sends at once.
pub(super) async fn room_for_payment(
    conn: &mut PgConn,
    wallet: &Wallet,
    limits: &PersonLimits,
) -> Result<(), AcceptError> {
    let most = limits.open_payments.get();
    if transactions::has_open_payments(conn, wallet.id, most).await? {
        return Err(AcceptError::LimitExceeded(format!(
            "a wallet may have {most} deposits and withdrawals under way; wait for some to end, or cancel them"
        )));
    }
    Ok(())
}

/// Parses the amount of a request.
pub(super) fn amount(text: &str, currency: Currency) -> Result<Money, AcceptError> {
    parse_amount(text, currency).map_err(|error| AcceptError::validation("amount", error.to_string()))
}

/// Refuses an amount above the wallet's balance. The worker checks this again when the money moves.
pub(super) fn spendable(wallet: &Wallet, amount: Money) -> Result<(), AcceptError> {
    match wallet.balance.checked_sub(amount) {
        Ok(rest) if !rest.is_negative() => Ok(()),
        _ => Err(AcceptError::InsufficientFunds),
    }
}

/// Parses the id of a Stripe object that a client sent, which must begin with one of `prefixes`.
pub(super) fn stripe_id<Id: FromStr>(
    field: &'static str,
    text: Option<&str>,
    prefixes: &[&str],
) -> Result<Option<Id>, AcceptError> {
    let Some(text) = text else { return Ok(None) };
    let is_wanted = prefixes.iter().any(|prefix| text.starts_with(prefix));
    let id = text.parse().ok().filter(|_| is_wanted);
    id.map(Some).ok_or_else(|| {
        AcceptError::validation(
            field,
            format!("must be a Stripe id that begins with {}", prefixes.join(" or ")),
        )
    })
}
