//! `fees`: the rules by which the platform keeps a part of payments.

use std::str::FromStr;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use rust_decimal::Decimal;
use serde_json::json;
use wallet_core::audit::{self, Actor, AuditRecord};
use wallet_core::db::{DbError, in_transaction};
use wallet_core::fees::{self, FeeRule, HIGHEST_BASIS_POINTS};
use wallet_core::ids::UserId;
use wallet_core::money::Currency;
use wallet_core::reason::Reason;

use super::Session;

/// The commands about fee rules.
#[derive(Debug, Subcommand)]
pub(crate) enum Fees {
    /// List the rules, the general one first.
    List,
    /// Set a rule, in place of the one for the same currency and payee. Payments accepted before keep the fee
    /// that they were accepted with.
    Set {
        /// Hundredths of a percent of the amount: 100 is 1 %, 0 is free, 5000 is half, which is the maximum.
        #[arg(value_parser = clap::value_parser!(u16).range(0..=i64::from(HIGHEST_BASIS_POINTS)))]
        basis_points: u16,
        #[command(flatten)]
        of: Of,
        /// At least this much, in major units such as 0.30; needs --currency.
        #[arg(long, value_name = "AMOUNT", value_parser = Decimal::from_str_exact)]
        minimum: Option<Decimal>,
        /// At most this much, in major units; needs --currency.
        #[arg(long, value_name = "AMOUNT", value_parser = Decimal::from_str_exact)]
        maximum: Option<Decimal>,
        /// Why, for the audit trail.
        #[arg(long)]
        reason: Option<Reason>,
    },
    /// Remove a rule: the next more general rule then applies; without any, the platform keeps nothing.
    Remove {
        #[command(flatten)]
        of: Of,
        /// Why, for the audit trail.
        #[arg(long)]
        reason: Option<Reason>,
    },
}

/// Which payments a rule is for. The most specific rule applies: that of the payee in the currency, then of the currency, then of all.
#[derive(Debug, Args)]
pub(crate) struct Of {
    /// Payments in this currency, such as usd; all currencies without it.
    #[arg(long, value_parser = Currency::from_str)]
    currency: Option<Currency>,
    /// Payments to this person, by the user's id; needs --currency. Everybody without it.
    #[arg(long, value_name = "USER", value_parser = UserId::from_str)]
    payee: Option<UserId>,
}

/// Lists, writes or removes fee rules.
pub(crate) async fn fees(session: &Session, command: Fees) -> anyhow::Result<()> {
    match command {
        Fees::List => list(session).await,
        Fees::Set {
            basis_points,
            of,
            minimum,
            maximum,
            reason,
        } => {
            let rule = FeeRule {
                currency: of.currency,
                payee: of.payee,
                basis_points,
                minimum,
                maximum,
            };
            set(session, &rule, reason.as_ref()).await
        }
        Fees::Remove { of, reason } => remove(session, &of, reason.as_ref()).await,
    }
}

async fn list(session: &Session) -> anyhow::Result<()> {
    let rules = fees::list(&mut *session.db.conn().await?).await?;
    let count = match rules.as_slice() {
        [] => "no rules: the platform keeps nothing of payments".to_owned(),
        [_] => "1 rule".to_owned(),
        many => format!("{} rules", many.len()),
    };
    let object = json!({ "rules": rules.iter().map(as_json).collect::<Vec<_>>() });
    session.answer(&object, rules.iter().map(in_words).chain([count]))
}

async fn set(session: &Session, rule: &FeeRule, reason: Option<&Reason>) -> anyhow::Result<()> {
    rule.check().context("the rule cannot be set")?;
    in_transaction!(session.db, conn => {
        let now = session.now();
        fees::set(conn, rule, now).await?;
        let detail = json!({
            "currency": rule.currency, "payee": rule.payee, "basis_points": rule.basis_points,
            "minimum": rule.minimum, "maximum": rule.maximum, "reason": reason.map(Reason::as_str),
        });
        audit::record(conn, &entry(&session.actor, "set_fee_rule", now, detail)).await?;
        Ok::<_, DbError>(())
    })?;
    session.answer(
        &json!({ "set": as_json(rule) }),
        [in_words(rule)].into_iter().chain(refused(rule)),
    )
}

async fn remove(session: &Session, of: &Of, reason: Option<&Reason>) -> anyhow::Result<()> {
    let removed = in_transaction!(session.db, conn => {
        let now = session.now();
        let removed = fees::remove(conn, of.currency, of.payee).await?;
        if removed {
            let detail = json!({ "currency": of.currency, "payee": of.payee, "reason": reason.map(Reason::as_str) });
            audit::record(conn, &entry(&session.actor, "remove_fee_rule", now, detail)).await?;
        }
        Ok::<_, DbError>(removed)
    })?;
    let whose = whose(of.currency, of.payee);
    if !removed {
        bail!("there is no rule for {whose}; `wallet-worker fees list` lists them");
    }
    session.answer(
        &json!({ "removed": { "currency": of.currency, "payee": of.payee } }),
        [format!("the rule for {whose} is removed")],
    )
}

fn entry<'a>(
    actor: &'a Actor,
    action: &'static str,
    at: chrono::DateTime<chrono::Utc>,
    detail: serde_json::Value,
) -> AuditRecord<'a> {
    AuditRecord {
        detail,
        ..AuditRecord::new(at, actor, action)
    }
}

fn as_json(rule: &FeeRule) -> serde_json::Value {
    let bound = |amount: Option<Decimal>| match (amount, rule.currency) {
        (Some(amount), Some(currency)) => Some(currency.in_decimals(amount)),
        (amount, _) => amount,
    };
    json!({
        "currency": rule.currency, "payee": rule.payee, "basisPoints": rule.basis_points, "minimum": bound(rule.minimum),
        "maximum": bound(rule.maximum),
    })
}

fn in_words(rule: &FeeRule) -> String {
    let percent = Decimal::new(i64::from(rule.basis_points), 2).normalize();
    // A bound always has a currency.
    let bound = |words, amount: Option<Decimal>| {
        amount
            .zip(rule.currency)
            .map(|(amount, currency)| format!(", {words} {}", currency.written(amount)))
            .unwrap_or_default()
    };
    format!(
        "{}: {percent} %{}{}",
        whose(rule.currency, rule.payee),
        bound("at least", rule.minimum),
        bound("at most", rule.maximum)
    )
}

/// Describes which payments the rule refuses because it would leave the payee nothing, if any.
fn refused(rule: &FeeRule) -> Option<String> {
    let (least, currency) = rule.minimum.zip(rule.currency)?;
    let refused = format!(
        "payments of {} or less are refused from now on: the fee would leave the payee nothing",
        currency.written(least)
    );
    (!least.is_zero()).then_some(refused)
}

fn whose(currency: Option<Currency>, payee: Option<UserId>) -> String {
    let currency = currency.map_or_else(|| "all payments".to_owned(), |code| format!("payments in {code}"));
    let payee = payee.map(|user| format!(" to {user}")).unwrap_or_default();
    format!("{currency}{payee}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_told_in_words() {
        let general = FeeRule {
            currency: None,
            payee: None,
            basis_points: 100,
            minimum: None,
            maximum: None,
        };
        assert_eq!(in_words(&general), "all payments: 1 %");
        let user = "018f2f5e-7b3c-7000-8000-000000000003";
        let particular = FeeRule {
            currency: Some(Currency::USD),
            payee: user.parse().ok(),
            basis_points: 255,
            minimum: Some(Decimal::new(30, 2)),
            maximum: Some(Decimal::new(10, 0)),
        };
        assert_eq!(
            in_words(&particular),
            format!("payments in usd to {user}: 2.55 %, at least 0.30 usd, at most 10.00 usd")
        );
        let told = refused(&particular).unwrap();
        assert!(
            told.starts_with("payments of 0.30 usd or less are refused"),
            "{told}"
        );
        assert_eq!(refused(&general), None);
    }
}
