//! The books against Stripe: every movement of the platform's balance matches entries of the ledger, and the other way round.
//!
//! Movements are attributed to our transactions by the references that settlement wrote, and where there is none by asking Stripe about
//! the object behind them (`attribute`). For each transaction, what Stripe moved is held against what its entries on `stripe:clearing`
//! and `stripe:fees` say (`compare`). What is left over is a [`Difference`]. Connected accounts are compared by what they hold
//! (`accounts`); what of the balance is the platform's own is remembered (`own`). The standing sums are [`Figure`]s.

mod accounts;
mod ask;
mod attribute;
mod backing;
mod books;
mod compare;
mod own;
mod report;
mod standing;

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
use standing::Reading;

/// How far back is looked when nobody says otherwise: longer than a payout takes to fail.
pub const USUAL_PERIOD: TimeDelta = TimeDelta::days(35);

/// Why nothing is known.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// PostgreSQL.
    #[error("the books cannot be read")]
    Db(#[from] DbError),
    /// Stripe.
    #[error("the payment provider cannot be asked")]
    Call(#[from] CallError),
    /// Stripe's balance of the platform has no such movement.
    #[error(
        "Stripe knows no movement {0} of the platform's balance; `wallet-worker reconcile` lists those that are not explained"
    )]
    NoSuchMovement(BalanceTransactionId),
    /// More movements of a kind than are read to know what of the balance is there.
    #[error(
        "Stripe lists more than {read} movements of kind {kind}, so it is not known what of the balance is there"
    )]
    TooManyMovements {
        /// Stripe's word.
        kind: &'static str,
        /// How many were read.
        read: usize,
    },
    /// It gives back the payment of a transaction, and its own event may still come.
    #[error(
        "the movement {movement} gives back transaction {of}, and is booked by its own event: `wallet-worker replay-events` has that looked at again; when \
         nothing can come of it, explain it with --force: {means}"
    )]
    OfPayment {
        /// The movement.
        movement: BalanceTransactionId,
        /// The transaction.
        of: TransactionId,
        /// What taking it as the platform's own means for a user.
        means: &'static str,
    },
    /// Its transaction is of books that are newer than these, or of others.
    #[error(
        "the movement {movement} is of transaction {of}, which these books do not have, as after a restored backup: {mend}; explain it with --force when \
         that is done, or cannot be: {means}"
    )]
    NotInBooks {
        /// The movement.
        movement: BalanceTransactionId,
        /// The transaction.
        of: TransactionId,
        /// What a person can do.
        mend: &'static str,
        /// What taking it as the platform's own means for a user.
        means: &'static str,
    },
    /// Its transaction has ended without it.
    #[error(
        "the movement {movement} is of transaction {of}, which has ended here as {stage} without it: {mend}; explain it with --force when that is done, or \
         cannot be: {means}"
    )]
    EndedWithout {
        /// The movement.
        movement: BalanceTransactionId,
        /// The transaction.
        of: TransactionId,
        /// How it has ended.
        stage: &'static str,
        /// What a person can do.
        mend: &'static str,
        /// What taking it as the platform's own means for a user.
        means: &'static str,
    },
    /// It moved the money of a transaction.
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
    /// The newest movement.
    last: DateTime<Utc>,
    /// Whether a payment is among them that Stripe shows as pending, as a bank has not paid it yet.
    is_unpaid: bool,
}

/// What the movements of the period are.
#[derive(Debug, Default)]
struct Movements {
    count: u64,
    own: u64,
    of_transactions: HashMap<(TransactionId, Currency), Moved>,
    /// What the platform paid out to its own bank.
    paid_out: Vec<BalanceTransaction>,
    /// Of nobody.
    differences: Vec<Difference>,
}

/// Compares everything since `since`; `progress` hears how many movements have been read. Every question waits for its turn in `budget`: with
/// thousands of connected accounts that takes an hour or more.
///
/// # Errors
/// When the database or Stripe cannot be asked: then nothing is known.
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
    // First, since it takes the longest: what the platform's balance is held against is to be of the same moment.
    let accounts = accounts::holdings(asker, now).await?;
    let query = BalanceTransactionQuery {
        created_since: Some(since),
        ..BalanceTransactionQuery::default()
    };
    let Reading {
        balance,
        page,
        between,
    } = standing::read(asker, &query).await?;
    let pages = Pages { query, first: page };
    let movements = read_movements(asker, actor, pages, now, &mut progress).await?;
    let known: Vec<TransactionId> = movements.of_transactions.keys().map(|(id, _)| *id).collect();
    let books = books::read(db, &known, since, now).await?;

    let mut differences = movements.differences;
    let (matched, found) = compare::transactions(&books, &movements.of_transactions, since, now);
    differences.extend(found);
    let figures = report::figures(&books, &balance, &between, &accounts, &differences);
    // After the sums, which hold all the same: it did happen.
    differences.extend(own::takings(&movements.paid_out, &figures, now));
    differences.extend(accounts::differences(&books, &accounts, now));
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

/// The movements to read.
struct Pages {
    query: BalanceTransactionQuery,
    /// What has been read of them already.
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
                    // What an operator has explained is written down already, and may be taken back at this moment.
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
        page = standing::page(asker, &query).await?;
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

/// A movement that no entry matches.
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
