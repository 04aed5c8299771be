//! Personal details, which are stored sealed: who may read them, and how much of them.
//!
//! Their owner reads them in full if a single wallet or transaction is requested, and masked in lists. Staff read them in full, one at a time, and
//! each read is recorded before it is answered; in lists they read none. No other caller reads them, not even the other side of a transfer.

use async_graphql::Context;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use wallet_core::audit::{self, Actor, AuditRecord};
use wallet_core::crypto::{CryptoError, KeyOwner, Place, Sealed};
use wallet_core::ids::{TransactionId, UserId, WalletId};

use crate::context::ContextExt;
use crate::errors::ApiError;

/// How many characters of a number are shown in lists; at least as many must stay hidden.
const TAIL: usize = 4;

/// How much of a detail the caller may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Full,
    Masked,
}

/// One sealed detail of a row.
pub(super) struct Detail<'a> {
    pub(super) table: &'static str,
    pub(super) column: &'static str,
    /// The primary key of its row.
    pub(super) row: uuid::Uuid,
    /// The person whose detail it is.
    pub(super) owner: UserId,
    pub(super) wallet: WalletId,
    pub(super) transaction: Option<TransactionId>,
    /// The stored text, or `None` if no detail was given.
    pub(super) sealed: Option<&'a str>,
}

impl Detail<'_> {
    /// Opens the detail for the caller. Returns `None` if there is none, if it is not for the caller, or if its owner was erased.
    pub(super) async fn open(&self, ctx: &Context<'_>) -> Result<Option<(SecretString, Shown)>, ApiError> {
        let Some(sealed) = self.sealed else {
            return Ok(None);
        };
        let caller = ctx.caller()?;
        let shown = match (caller.user_id == self.owner, ctx.in_list()) {
            (true, true) => Shown::Masked,
            (true, false) => Shown::Full,
            (false, false) if caller.role.reads_others() => {
                self.put_on_record(ctx).await?;
                Shown::Full
            }
            (false, _) => return Ok(None),
        };
        let sealed = Sealed::parse(sealed).map_err(ApiError::internal)?;
        let place = Place::new(self.table, self.column, self.row, KeyOwner::User(self.owner));
        match ctx.app()?.vault.open(&place, &sealed).await {
            Ok(text) => Ok(Some((text, shown))),
            Err(CryptoError::Destroyed) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Records that a member of the staff reads the detail; it is not answered before this is stored.
    async fn put_on_record(&self, ctx: &Context<'_>) -> Result<(), ApiError> {
        let _turn = ctx.take_reads(1).await?;
        let (app, caller) = (ctx.app()?, ctx.caller()?);
        let transactions: Vec<TransactionId> = self.transaction.into_iter().collect();
        let actor = Actor::User(caller.user_id);
        let entry = AuditRecord {
            request_id: caller.request_id.as_deref(),
            transactions: &transactions,
            wallets: &[self.wallet],
            detail: json!({ "detail": self.column, "role": caller.role.as_str() }),
            ..AuditRecord::new(app.clock.now(), &actor, "read_details")
        };
        let mut conn = app.db.conn().await?;
        audit::record(&mut conn, &entry).await?;
        Ok(())
    }
}

/// Masks an account number for a list: the end is shown, if the number is so long that its end reveals little.
pub(super) fn masked_number(text: &str) -> String {
    // Blanks between groups are not part of a number.
    let shown = || text.chars().filter(|letter| !letter.is_whitespace());
    let length = shown().count();
    let hidden = if length >= 2 * TAIL { length - TAIL } else { length };
    let tail: String = shown().skip(hidden).collect();
    format!("••••{tail}")
}

/// Masks a name for a list: the first letter is shown.
pub(super) fn masked_name(text: &str) -> String {
    let first: String = text.chars().take(1).collect();
    format!("{first}•••")
}

/// Masks a client's JSON for a list: the structure is shown, and the end of longer values.
pub(super) fn masked_json(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(masked_number(&text)),
        Value::Number(number) => Value::String(masked_number(&number.to_string())),
        Value::Array(items) => items.into_iter().map(masked_json).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| (key, masked_json(value)))
            .collect(),
        Value::Null | Value::Bool(_) => value,
    }
}

/// Reads JSON that was sealed as text, masked if the caller may not read it in full.
pub(super) fn json_of(opened: Option<(SecretString, Shown)>) -> Result<Option<Value>, ApiError> {
    let Some((text, shown)) = opened else {
        return Ok(None);
    };
    let value: Value = serde_json::from_str(text.expose_secret()).map_err(ApiError::internal)?;
    Ok(Some(match shown {
        Shown::Full => value,
        Shown::Masked => masked_json(value),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_shows_the_end_of_what_is_long_and_nothing_of_what_is_short() {
        for (text, shown) in [
            ("DE89370400440532013000", "••••3000"),
            ("DE89 3704 0044 0532 0130 00", "••••3000"),
            ("12345678", "••••5678"),
            ("1234567", "••••"),
            ("1", "••••"),
            ("", "••••"),
            ("äöüäöüäöü", "••••üäöü"),
        ] {
            assert_eq!(masked_number(text), shown, "{text}");
        }
        assert_eq!(masked_name("Ada Lovelace"), "A•••");
        assert_eq!(masked_name(""), "•••");
    }

    #[test]
    fn json_keeps_its_shape_and_loses_its_values() {
        let given = json!({ "name": "Ada", "iban": "FR1420041010050500013M02606", "n": [1, 123_456_789, null, true], "in": { "phone": "+4915112345678" } });
        let shown = json!({ "name": "••••", "iban": "••••2606", "n": ["••••", "••••6789", null, true], "in": { "phone": "••••5678" } });
        assert_eq!(masked_json(given), shown);
    }
}
