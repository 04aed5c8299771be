//! `reconcile`: compares the ledger with Stripe.

use std::str::FromStr;

use anyhow::bail;
use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use wallet_core::budget::CallBudget;
use wallet_core::config::ReconcileConfig;
use wallet_core::money::{Currency, Money};
use wallet_core::reason::Reason;
use wallet_core::reconcile::{self, Difference, Explanation, Figure, Reconciliation};
use wallet_core::stripe::BalanceTransactionId;

use super::moment;
use super::{Session, Verdict};

/// What is compared; or what is recorded so that it is no difference.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Reconcile {
    /// Movements created at this moment or later: a day, as in 2026-11-24 (from its beginning, UTC), or a time, as in
    /// 2026-11-24T13:30:00Z. The last 35 days by default; the sums are of all time.
    #[arg(long, value_name = "MOMENT", value_parser = moment::past)]
    since: Option<DateTime<Utc>>,
    #[command(subcommand)]
    record: Option<Record>,
}

/// What only a person can know.
#[derive(Debug, Subcommand)]
pub(crate) enum Record {
    /// A movement at Stripe is the platform's own business and no wallet's.
    Explain {
        /// The movement, txn_….
        #[arg(value_parser = BalanceTransactionId::from_str)]
        movement: BalanceTransactionId,
        /// Do it even if it is a user's money, for which nothing can be booked any more: the command shows what that means for the user.
        #[arg(long)]
        force: bool,
        /// What the movement was, for the audit trail.
        #[arg(long)]
        reason: Reason,
    },
    /// Withdraw the explanation of a movement.
    Forget {
        /// The movement, txn_….
        #[arg(value_parser = BalanceTransactionId::from_str)]
        movement: BalanceTransactionId,
        /// Why, for the audit trail.
        #[arg(long)]
        reason: Reason,
    },
    /// What the platform owned on its Stripe balance before this ledger began: show it, or record it.
    Opening {
        /// The currency, such as usd.
        #[arg(value_parser = Currency::from_str)]
        currency: Currency,
        /// The amount in major units, such as 1000.00; without one, the recorded amount is shown.
        #[arg(value_parser = Decimal::from_str_exact, allow_negative_numbers = true, requires = "reason")]
        amount: Option<Decimal>,
        /// Where that amount is known from.
        #[arg(long, requires = "amount")]
        reason: Option<Reason>,
    },
}

/// Compares the ledger with Stripe, or records what a person knows.
pub(crate) async fn reconcile(
    session: &Session,
    config: &ReconcileConfig,
    how: Reconcile,
) -> anyhow::Result<()> {
    let (db, actor, now) = (&session.db, &session.actor, session.now());
    let calls = session
        .foundation(&config.encryption)
        .stripe_calls(&config.stripe)?;
    match how.record {
        Some(Record::Explain {
            movement,
            force,
            reason,
        }) => {
            let budget = CallBudget::new(config.stripe.calls_per_second);
            let explained = reconcile::explain(
                db,
                &calls,
                budget,
                Explanation {
                    movement: &movement,
                    is_forced: force,
                    reason: reason.as_str(),
                },
                actor,
                now,
            )
            .await?;
            let moved = &explained.movement;
            let line = format!(
                "{movement}, a {} of {}, is the platform's own",
                moved.kind, moved.net
            );
            let means = explained.means.map(str::to_owned);
            let object = json!({
                "explained": movement.to_string(), "net": moved.net.amount(), "currency": moved.net.currency(), "means": means,
            });
            return session.answer(&object, std::iter::once(line).chain(means));
        }
        Some(Record::Forget { movement, reason }) => {
            if !reconcile::forget_explained(db, &movement, actor, reason.as_str(), now).await? {
                bail!("nobody has explained {movement}");
            }
            let object = json!({ "forgotten": movement.to_string() });
            return session.answer(&object, [format!("{movement} is to be explained again")]);
        }
        Some(Record::Opening {
            currency,
            amount,
            reason,
        }) => {
            let (Some(amount), Some(reason)) = (amount, reason) else {
                return show_opening(session, currency).await;
            };
            let amount = Money::new(amount, currency)?;
            let before = reconcile::record_opening(db, amount, actor, reason.as_str(), now).await?;
            let before = before.map(|before| Money::new(before, currency)).transpose()?;
            let object = json!({
                "opening": amount.amount(), "currency": amount.currency(), "replaced": before.map(|before| before.amount()),
            });
            let mut line = format!("{amount} were the platform's own before");
            if let Some(before) = before {
                line.push_str(&format!("; {before} was written down until now"));
            }
            return session.answer(&object, [line]);
        }
        None => {}
    }
    let since = how.since.unwrap_or(now - reconcile::USUAL_PERIOD);
    let budget = CallBudget::new(config.stripe.calls_per_second);
    let found = reconcile::reconcile(db, &calls, budget, actor, since, now, |read| {
        tracing::debug!(read, "movements read");
    })
    .await
    .map_err(Verdict::unknown)?;
    session.answer(&as_json(&found), in_words(&found))?;
    if found.is_explained() {
        return Ok(());
    }
    let Some(verdict) = found.verdict() else {
        return Err(Verdict::unknown(
            "a sum was not checked, since the balance did not stand still: try again",
        )
        .into());
    };
    Err(Verdict::DoesNotHold(verdict).into())
}

async fn show_opening(session: &Session, currency: Currency) -> anyhow::Result<()> {
    let amount = reconcile::opening(&session.db, currency).await?;
    let amount = amount.map(|amount| Money::new(amount, currency)).transpose()?;
    let line = match amount {
        Some(amount) => format!("{amount} were the platform's own before"),
        None => format!("nothing is written down in {currency}"),
    };
    let object = json!({ "opening": amount.map(|amount| amount.amount()), "currency": currency });
    session.answer(&object, [line])
}

fn in_words(found: &Reconciliation) -> Vec<String> {
    let mut lines = Vec::new();
    for difference in &found.differences {
        let mark = if difference.explained {
            "explained"
        } else {
            "DIFFERS"
        };
        lines.push(format!(
            "{mark:<9} {:>9} old  {}",
            age(difference.age),
            difference.in_words()
        ));
    }
    for figure in &found.figures {
        lines.push(sums(figure));
    }
    lines.push(format!(
        "{} movements since {}: {} transactions match, {} movements are the platform's own, {} differences: {}",
        found.movements,
        found.since.format("%Y-%m-%d %H:%M UTC"),
        found.matched,
        found.own,
        found.differences.len(),
        found.verdict().unwrap_or_else(|| "all explained".to_owned())
    ));
    lines
}

fn sums(figure: &Figure) -> String {
    let meanwhile = if figure.is_checked {
        ""
    } else {
        " (NOT CHECKED: the balance did not stand still)"
    };
    let written = |sum| figure.currency.in_decimals(sum);
    format!(
        "{}: Stripe holds {} = {} for wallets (-Σ clearing) + {} of the platform's own + {} in differences + {} unexplained{meanwhile}; \
         connected accounts hold {}, in transit {} (-Σ in_transit); Σ all = {}",
        figure.currency.code(),
        written(figure.balance),
        written(figure.clearing),
        written(figure.own),
        written(figure.differences),
        written(figure.rest),
        written(figure.connected),
        written(figure.in_transit),
        written(figure.all)
    )
}

fn age(age: TimeDelta) -> String {
    match (age.num_days(), age.num_hours(), age.num_minutes()) {
        (days, _, _) if days > 0 => format!("{days} d"),
        (_, hours, _) if hours > 0 => format!("{hours} h"),
        (_, _, minutes) => format!("{minutes} min"),
    }
}

fn as_json(found: &Reconciliation) -> Value {
    let difference = |it: &Difference| {
        json!({
            "about": it.about(), "transaction": it.transaction.map(|id| id.to_string()), "words": it.in_words(),
            "amount": it.currency.in_decimals(it.amount), "currency": it.currency, "ageSeconds": it.age.num_seconds(),
            "cause": it.cause.as_str(), "explained": it.explained,
        })
    };
    let figure = |it: &Figure| {
        let written = |sum| it.currency.in_decimals(sum);
        json!({
            "currency": it.currency, "balance": written(it.balance), "clearing": written(it.clearing), "own": written(it.own),
            "differences": written(it.differences), "rest": written(it.rest), "connected": written(it.connected),
            "inTransit": written(it.in_transit), "all": written(it.all), "checked": it.is_checked,
        })
    };
    json!({
        "explained": found.is_explained(), "since": found.since, "at": found.at, "movements": found.movements,
        "matched": found.matched, "own": found.own,
        "figures": found.figures.iter().map(figure).collect::<Vec<_>>(),
        "differences": found.differences.iter().map(difference).collect::<Vec<_>>(),
    })
}
