//! The audit trail: who did what to which rows, written in the transaction of what it records.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::Value;
use uuid::Uuid;

use crate::db::{DbError, PgConn, sql};
use crate::ids::{TransactionId, UserId, WalletId};

/// The name of an operator in the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorName(String);

/// The error for a text that cannot be the name of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of an operator has 1 to 64 characters, none of them a control character")]
pub struct InvalidOperatorName;

impl FromStr for OperatorName {
    type Err = InvalidOperatorName;

    fn from_str(text: &str) -> Result<Self, InvalidOperatorName> {
        let name = text.trim();
        let fits = (1..=64).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        fits.then(|| Self(name.to_owned())).ok_or(InvalidOperatorName)
    }
}

impl fmt::Display for OperatorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The actor of something that is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A person with a token.
    User(UserId),
    /// A person at the command line of the programs.
    Operator(OperatorName),
    /// A worker process, by its name.
    Worker(String),
    /// Stripe, by an event.
    Stripe,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Operator(name) => write!(f, "operator:{name}"),
            Self::Worker(name) => write!(f, "worker:{name}"),
            Self::Stripe => f.write_str("stripe"),
        }
    }
}

/// One record of the audit trail; it may cover a batch.
#[derive(Debug, Clone)]
pub struct AuditRecord<'a> {
    /// When it was done.
    pub at: DateTime<Utc>,
    /// Who did it.
    pub actor: &'a Actor,
    /// What was done.
    pub action: &'static str,
    /// The id of the API request, if there was one.
    pub request_id: Option<&'a str>,
    /// The transactions to which it was done.
    pub transactions: &'a [TransactionId],
    /// The wallets to which it was done.
    pub wallets: &'a [WalletId],
    /// Further details, as ids and codes only.
    pub detail: Value,
}

impl<'a> AuditRecord<'a> {
    /// Creates a record of nothing but who did what, and when.
    #[must_use]
    pub const fn new(at: DateTime<Utc>, actor: &'a Actor, action: &'static str) -> Self {
        Self {
            at,
            actor,
            action,
            request_id: None,
            transactions: &[],
            wallets: &[],
            detail: Value::Null,
        }
    }
}

/// Writes a record in the caller's transaction.
///
/// # Errors
/// When the database refuses, which must end the caller's transaction as well.
pub async fn record(conn: &mut PgConn, entry: &AuditRecord<'_>) -> Result<(), DbError> {
    sql(
        "INSERT INTO audit_log (at, actor, action, request_id, transaction_ids, wallet_ids, detail)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind::<Timestamptz, _>(entry.at)
    .bind::<Text, _>(entry.actor.to_string())
    .bind::<Text, _>(entry.action)
    .bind::<Nullable<Text>, _>(entry.request_id)
    .bind::<Array<SqlUuid>, _>(
        entry
            .transactions
            .iter()
            .map(|id| id.uuid())
            .collect::<Vec<Uuid>>(),
    )
    .bind::<Array<SqlUuid>, _>(entry.wallets.iter().map(|id| id.uuid()).collect::<Vec<Uuid>>())
    .bind::<Jsonb, _>(entry.detail.clone())
    .execute(conn)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_has_a_name() {
        let ada = Actor::Operator(" ada ".parse().unwrap());
        assert_eq!(ada.to_string(), "operator:ada");
        for nobody in ["", " ", "a\nb", &"a".repeat(65)] {
            assert_eq!(
                nobody.parse::<OperatorName>(),
                Err(InvalidOperatorName),
                "{nobody:?}"
            );
        }
    }
}
