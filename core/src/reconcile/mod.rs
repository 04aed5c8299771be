//! Reconciliation: the ledger against Stripe. Every movement of the platform's balance must match entries of the ledger, and vice versa.
//!
//! Movements are attributed to our transactions by the references that settlement wrote, and where there is none, by reading the object
//! behind them at Stripe (`attribute`). For each transaction, what Stripe moved is compared with its entries on `stripe:clearing` and
//! `stripe:fees` (`compare`). What is left over is a [`Difference`]. Connected accounts are compared by what they hold (`accounts`); the
//! part of the balance that is the platform's own is recorded (`own`). The standing sums are [`Figure`]s.

mod accounts;
mod ask;
mod attribute;
mod backing;
mod compare;
mod ledger_snapshot;
mod own;
mod reading;
mod report;

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

pub use backing::{Backing, backing};
pub use own::{Explained, Explanation, explain, forget_explained, opening, record_opening};
pub use report::{Cause, Difference, Figure, Reconciliation, Subject};

use crate::audit::Actor;
use crate::budget::CallBudget;
use crate::db::{Db, DbError};
use crate::ids::TransactionId;
use crate::money::Currency;
use crate::stripe::{
    BalanceTransaction, BalanceTransactionId, BalanceTransactionPage, BalanceTransactionQuery, CallError,
    StripeCalls,
};
use ask::Asker;
use attribute::{Attribution, Attributor};
use reading::Reading;

/// The period that is compared by default: longer than a payout takes to fail.
pub const USUAL_PERIOD: TimeDelta = TimeDelta::days(35);

/// Why a comparison has no result, or a movement cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The database failed.
    #[error("the books cannot be read")]
    Db(#[from] DbError),
    /// A call to Stripe failed.
    #[error("the payment provider cannot be asked")]
    Call(#[from] CallError),
    /// The platform's balance at Stripe has no such movement.
    #[error(
        "Stripe knows no movement {0} of the platform's balance; `wallet-worker reconcile` lists those that are not explained"
    )]
    NoSuchMovement(BalanceTransactionId),
    /// There are more movements of a kind than are read, so it is not known what is on the balance.
    #[error(
        "Stripe lists more than {read} movements of kind {kind}, so it is not known what of the balance is there"
    )]
    TooManyMovements {
        /// The kind, as Stripe names it.
        kind: &'static str,
        /// How many were read.
        read: usize,
    },
    /// It refunds or disputes the payment of a transaction, and its own event may still come.
    #[error(
        "the movement {movement} gives back transaction {of}, and is booked by its own event: `wallet-worker replay-events` has that looked at again; when \
         nothing can come of it, explain it with --force: {means}"
    )]
    OfPayment {
        /// The movement.
        movement: BalanceTransactionId,
        /// The transaction.
        of: TransactionId,
        /// The consequence for a user of taking it as the platform's own.
        means: &'static str,
    },
    /// It names a transaction that the database does not have: the database is a restored backup, or another one.
    #[error(
        "the movement {movement} is of transaction {of}, which these books do not have, as after a restored backup: {fix}; explain it with --force when \
         that is done, or cannot be: {means}"
    )]
    NotInBooks {
        /// The movement.
        movement: BalanceTransactionId,
        /// The transaction.
        of: TransactionId,
        /// What an operator can do.
        fix: &'static str,
        /// The consequence for a user of taking it as the platform's own.
        means: &'static str,
    },
    /// Its transaction has ended without it.
    #[error(
        "the movement {movement} is of transaction {of}, which has ended here as {stage} without it: {fix}; explain it with --force when that is done, or \
         cannot be: {means}"
    )]
    EndedWithout {
        /// The movement.
        movement: BalanceTransactionId,
        /// The transaction.
        of: TransactionId,
        /// The stage at which it has ended.
        stage: &'static str,
        /// What an operator can do.
        fix: &'static str,
        /// The consequence for a user of taking it as the platform's own.
        means: &'static str,
    },
    /// It moved the money of a transaction, so it is not the platform's own.
    #[error(
        "the movement {0} is of transaction {1}, not the platform's own: it is compared with what that transaction has booked, and cannot be explained"
    )]
    OfTransaction(BalanceTransactionId, TransactionId),
}

/// What Stripe moved for one transaction in one currency.
#[derive(Debug, Clone)]
struct Moved {
    net: Decimal,
    fee: Decimal,
    /// When the newest movement was made.
    last: DateTime<Utc>,
    /// Whether one of them is a payment that Stripe shows as pending, because a bank has not paid it yet.
    is_unpaid: bool,
}

/// The movements of the period, attributed.
#[derive(Debug, Default)]
struct Movements {
    count: u64,
    own: u64,
    of_transactions: HashMap<(TransactionId, Currency), Moved>,
    /// The payouts to the platform's own bank.
    paid_out: Vec<BalanceTransaction>,
    /// The movements that belong to no transaction.
    differences: Vec<Difference>,
}

/// Compares everything since `since`; `progress` is called with the number of movements read so far. Every request waits for its turn in
/// `budget`: with thousands of connected accounts that takes an hour or more.
///
/// # Errors
/// When the database or Stripe cannot be reached: then there is no result.
pub async fn reconcile(
    db: &Db,
    calls: &StripeCalls,
    budget: CallBudget,
    actor: &Actor,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
    mut progress: impl FnMut(u64) + Send,
) -> Result<Reconciliation, ReconcileError> {
    let asker = Asker { db, calls, budget };
    // First, since it takes the longest: the platform's balance and what it is compared with must be of the same moment.
    let accounts = accounts::holdings(asker, now).await?;
    let query = BalanceTransactionQuery {
        created_since: Some(since),
        ..BalanceTransactionQuery::default()
    };
    let Reading {
        balance,
        page,
        between,
    } = reading::read(asker, &query).await?;
    let pages = Pages { query, first: page };
    let movements = read_movements(asker, actor, pages, now, &mut progress).await?;
    let known: Vec<TransactionId> = movements.of_transactions.keys().map(|(id, _)| *id).collect();
    let snapshot = ledger_snapshot::read(db, &known, since, now).await?;

    let mut differences = movements.differences;
    let (matched, found) = compare::transactions(&snapshot, &movements.of_transactions, since, now);
    differences.extend(found);
    let figures = report::figures(&snapshot, &balance, &between, &accounts, &differences);
    // After the sums, to which these payouts make no difference: they did happen.
    differences.extend(own::takings(&movements.paid_out, &figures, now));
    differences.extend(accounts::differences(&snapshot, &accounts, now));
    Ok(Reconciliation {
        since,
        at: now,
        movements: movements.count,
        matched,
        own: movements.own,
        figures,
        differences,
    })
}

/// The pages of movements to read.
struct Pages {
    query: BalanceTransactionQuery,
    /// The first page, which has been read already.
    first: BalanceTransactionPage,
}

/// Reads the platform's movements page by page and attributes each.
async fn read_movements(
    asker: Asker<'_>,
    actor: &Actor,
    pages: Pages,
    now: DateTime<Utc>,
    progress: &mut (impl FnMut(u64) + Send),
) -> Result<Movements, ReconcileError> {
    let mut movements = Movements::default();
    let mut attributor = Attributor::new(asker);
    let Pages {
        mut query,
        first: mut page,
    } = pages;
    loop {
        let attributions = attributor.page(&page.transactions).await?;
        let mut own = Vec::new();
        let mut booked = Vec::new();
        for (movement, attribution) in page.transactions.iter().zip(attributions) {
            movements.count += 1;
            match attribution {
                Attribution::Transaction(id) => {
                    movements.add(id, movement, now);
                    booked.push((movement.id.as_str(), id));
                }
                Attribution::Own => {
                    movements.own += 1;
                    if movement.net.is_negative() && own::pays_out(&movement.kind) {
                        movements.paid_out.push(movement.clone());
                    }
                    // What an operator has explained is recorded already, and may be withdrawn at this moment.
                    if own::is_own(&movement.kind) {
                        own.push(movement);
                    }
                }
                Attribution::Missed { of, cause } => {
                    movements.differences.push(unmatched(movement, of, cause, now));
                }
            }
        }
        own::record(asker.db, &own, actor, now).await?;
        own::leave_out(asker.db, &booked, actor, now).await?;
        progress(movements.count);
        query.older_than = match page.transactions.last() {
            Some(oldest) if page.has_more => Some(oldest.id.clone()),
            _ => return Ok(movements),
        };
        page = reading::page(asker, &query).await?;
    }
}

impl Movements {
    fn add(&mut self, id: TransactionId, movement: &BalanceTransaction, now: DateTime<Utc>) {
        let moved = self
            .of_transactions
            .entry((id, movement.net.currency()))
            .or_insert_with(|| Moved {
                net: Decimal::ZERO,
                fee: Decimal::ZERO,
                last: movement.created,
                is_unpaid: false,
            });
        moved.net += movement.net.amount();
        moved.fee += movement.fee.amount();
        moved.is_unpaid |= movement.kind == "payment" && movement.available_on > now;
    }
}

/// Returns the difference for a movement that no entry matches.
fn unmatched(
    movement: &BalanceTransaction,
    of: Option<TransactionId>,
    cause: Cause,
    now: DateTime<Utc>,
) -> Difference {
    Difference {
        subject: Subject::Movement {
            id: movement.id.as_str().to_owned(),
            kind: movement.kind.clone(),
            source: movement.source.clone(),
        },
        transaction: of,
        amount: movement.net.amount(),
        currency: movement.net.currency(),
        age: now - movement.created,
        cause,
        explained: false,
    }
}
