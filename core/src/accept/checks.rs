//! Checks that several requests share.

use super::{AcceptError, Caller};
use crate::db::PgConn;
use crate::ids::WalletId;
use crate::money::{Currency, Money, parse_amount};
use crate::wallets::{self, Wallet};

/// Reads an id that a client sent; one that cannot be read names nothing.
pub(super) fn wallet_id(text: &str) -> Result<WalletId, AcceptError> {
    text.parse().map_err(|_| AcceptError::WalletNotFound)
}

/// The caller's own wallet.
pub(super) async fn own_wallet(
    conn: &mut PgConn,
    caller: &Caller,
    id: WalletId,
) -> Result<Wallet, AcceptError> {
    wallets::find_owned(conn, id, caller.user_id)
        .await?
        .ok_or(AcceptError::WalletNotFound)
}

/// Refuses a wallet that was deactivated. Asked only of new requests: a repeated key gets its old answer.
pub(super) fn active(wallet: &Wallet) -> Result<(), AcceptError> {
    if wallet.is_active {
        Ok(())
    } else {
        Err(AcceptError::WalletInactive)
    }
}

/// Reads the amount of a request.
pub(super) fn amount(text: &str, currency: Currency) -> Result<Money, AcceptError> {
    parse_amount(text, currency).map_err(|error| AcceptError::validation("amount", error.to_string()))
}

/// Refuses what can already be seen to fail; the worker checks again when it counts.
pub(super) fn spendable(wallet: &Wallet, amount: Money) -> Result<(), AcceptError> {
    match wallet.balance.checked_sub(amount) {
        Ok(rest) if !rest.is_negative() => Ok(()),
        _ => Err(AcceptError::InsufficientFunds),
    }
}

/// An id of a Stripe object that a client sent.
pub(super) fn stripe_id(
    field: &'static str,
    text: Option<&str>,
    prefixes: &[&str],
) -> Result<(), AcceptError> {
    let Some(text) = text else { return Ok(()) };
    let rest = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix));
    let fits = rest.is_some_and(|rest| {
        !rest.is_empty()
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    });
    if fits && text.len() <= 255 {
        Ok(())
    } else {
        Err(AcceptError::validation(
            field,
            format!("must be a Stripe id that begins with {}", prefixes.join(" or ")),
        ))
    }
}
