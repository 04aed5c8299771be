//! Locking what a batch touches: jobs, then wallets, then transactions, each in the order of their ids.
//!
//! Lock and read are the same statement for each kind of row, after the locks before it are held, so that what is read is what
//! the locks protect.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{Patience, Step};
use crate::db::schema::{external_refs, jobs, stripe_calls, wallet_transactions};
use crate::db::{DbError, PgConn, sql};
use crate::debts::{self, Cause};
use crate::flows::Command;
use crate::ids::{JobId, TransactionId, WalletId};
use crate::ledger::{Books, suspended_of};
use crate::money::Money;
use crate::stripe::{CallOutcome, Operation};
use crate::transactions::{ExternalRef, RefKind, Transaction, TransactionRow, returns_of};

/// What the batch has locked.
pub(super) struct Locked {
    /// The fence of each job that still exists.
    pub(super) fences: HashMap<JobId, i64>,
    /// The jobs of steps of which somebody else holds a row.
    pub(super) held: HashSet<JobId>,
    /// The wallets: of the steps, and those in which their owners owe; where a step may make a debt, all of its owner's.
    pub(super) books: Books,
    /// For each wallet in which something is owed, what caused the oldest of it.
    pub(super) causes: HashMap<WalletId, TransactionId>,
    /// The transactions, with those they relate to, what else relates to those, and what brought that back.
    pub(super) transactions: HashMap<TransactionId, Transaction>,
    /// Of the Stripe objects that the steps book once, or that they depend on, those that are booked.
    pub(super) booked: HashSet<(RefKind, String)>,
    /// The transactions that the Stripe objects of the steps lead to already.
    pub(super) owners: HashMap<(RefKind, String), TransactionId>,
    /// What of the deposits whose steps decide about it lies in suspense.
    pub(super) suspended: HashMap<TransactionId, Vec<Money>>,
    /// The transactions to cancel for which a call that moves money may have been sent.
    pub(super) money_sent: HashSet<TransactionId>,
}

/// How long a batch that passes by what is held waits for a row that it could not name beforehand.
const SHORT_WAIT: &str = "SET LOCAL lock_timeout = '250ms'";

pub(super) async fn lock(conn: &mut PgConn, steps: &[Step], patience: Patience) -> Result<Locked, DbError> {
    if patience == Patience::PassBy {
        sql(SHORT_WAIT).execute(conn).await?;
    }
    let (fences, mut held) = lock_jobs(conn, steps, patience).await?;
    let alive = |step: &&Step| is_valid(&fences, step);
    let mut live: Vec<&Step> = steps.iter().filter(alive).collect();
    let (books, held_wallets) = super::wallets::lock(conn, &live, patience).await?;
    let causes = causes(conn, &books).await?;
    let mut leave_out = |live: &mut Vec<&Step>, is_held: &dyn Fn(&Step) -> bool| {
        live.retain(|step| {
            let is_held = is_held(step);
            if is_held {
                held.insert(step.claim.job);
            }
            !is_held
        });
    };
    leave_out(&mut live, &|step| {
        step.wallets.iter().any(|wallet| held_wallets.contains(wallet))
    });
    let wanted: HashSet<TransactionId> = live.iter().map(|step| step.transaction).collect();
    let mut transactions = lock_transactions(conn, wanted.clone(), patience).await?;
    let held_transactions = match patience {
        Patience::Wait => HashSet::new(),
        Patience::PassBy => held_of(conn, &wanted, &transactions).await?,
    };
    leave_out(&mut live, &|step| held_transactions.contains(&step.transaction));
    // After their own transactions, against the order of ids: all of a family share the wallet that is locked before them.
    lock_families(conn, &mut transactions).await?;
    Ok(Locked {
        causes,
        booked: booked(conn, &live).await?,
        owners: owners(conn, &live).await?,
        suspended: suspended(conn, &live).await?,
        money_sent: money_sent(conn, &live).await?,
        fences,
        held,
        books,
        transactions,
    })
}

/// Those of the wanted transactions that exist and could not be locked.
async fn held_of(
    conn: &mut PgConn,
    wanted: &HashSet<TransactionId>,
    locked: &HashMap<TransactionId, Transaction>,
) -> Result<HashSet<TransactionId>, DbError> {
    let missing: Vec<Uuid> = wanted
        .iter()
        .filter(|id| !locked.contains_key(id))
        .map(|id| id.uuid())
        .collect();
    if missing.is_empty() {
        return Ok(HashSet::new());
    }
    let there: Vec<Uuid> = wallet_transactions::table
        .filter(wallet_transactions::id.eq_any(missing))
        .select(wallet_transactions::id)
        .load(conn)
        .await?;
    Ok(there.into_iter().map(TransactionId::from_uuid).collect())
}

/// Whether nobody else has claimed the job of this step since.
pub(super) fn is_valid(fences: &HashMap<JobId, i64>, step: &Step) -> bool {
    fences.get(&step.claim.job) == Some(&step.claim.fence)
}

#[derive(QueryableByName)]
struct FenceRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    fence: i64,
}

/// The fences of the jobs that could be locked, and the jobs that somebody else holds.
async fn lock_jobs(
    conn: &mut PgConn,
    steps: &[Step],
    patience: Patience,
) -> Result<(HashMap<JobId, i64>, HashSet<JobId>), DbError> {
    let ids: Vec<i64> = steps.iter().map(|step| step.claim.job.0).collect();
    if ids.is_empty() {
        return Ok((HashMap::new(), HashSet::new()));
    }
    let waiting =
        "SELECT id, fence FROM jobs WHERE id = ANY($1) AND parked_at IS NULL ORDER BY id FOR UPDATE";
    let passing = "SELECT id, fence FROM jobs WHERE id = ANY($1) AND parked_at IS NULL ORDER BY id FOR UPDATE SKIP LOCKED";
    let statement = match patience {
        Patience::Wait => waiting,
        Patience::PassBy => passing,
    };
    let rows: Vec<FenceRow> = sql(statement).bind::<Array<BigInt>, _>(&ids).load(conn).await?;
    let fences: HashMap<JobId, i64> = rows.into_iter().map(|row| (JobId(row.id), row.fence)).collect();
    let missing: Vec<i64> = ids
        .into_iter()
        .filter(|id| !fences.contains_key(&JobId(*id)))
        .collect();
    if patience == Patience::Wait || missing.is_empty() {
        return Ok((fences, HashSet::new()));
    }
    let there: Vec<i64> = jobs::table
        .filter(jobs::id.eq_any(missing))
        .filter(jobs::parked_at.is_null())
        .select(jobs::id)
        .load(conn)
        .await?;
    Ok((fences, there.into_iter().map(JobId).collect()))
}

/// What caused the debts of these wallets; nothing is asked when nobody owes.
async fn causes(conn: &mut PgConn, books: &Books) -> Result<HashMap<WalletId, TransactionId>, DbError> {
    let owing: Vec<(WalletId, Money)> = books.owing().collect();
    let causes = debts::causes(conn, &owing).await?;
    let oldest = |(wallet, of_it): (WalletId, Vec<Cause>)| Some((wallet, of_it.last()?.transaction));
    Ok(causes.into_iter().filter_map(oldest).collect())
}

async fn lock_transactions(
    conn: &mut PgConn,
    wanted: HashSet<TransactionId>,
    patience: Patience,
) -> Result<HashMap<TransactionId, Transaction>, DbError> {
    let ids: Vec<Uuid> = wanted.into_iter().map(TransactionId::uuid).collect();
    let (Some(least), Some(most)) = (ids.iter().min().copied(), ids.iter().max().copied()) else {
        return Ok(HashMap::new());
    };
    let all = wallet_transactions::table
        .filter(wallet_transactions::id.eq_any(ids))
        // Without the bounds the list would not prune partitions.
        .filter(wallet_transactions::id.between(least, most))
        .order(wallet_transactions::id.asc())
        .select(TransactionRow::as_select())
        .for_no_key_update();
    let rows: Vec<TransactionRow> = match patience {
        Patience::Wait => all.load(conn).await?,
        Patience::PassBy => all.skip_locked().load(conn).await?,
    };
    by_id(rows)
}

fn by_id(rows: Vec<TransactionRow>) -> Result<HashMap<TransactionId, Transaction>, DbError> {
    rows.into_iter()
        .map(|row| {
            let transaction = Transaction::try_from(row)?;
            Ok((transaction.id, transaction))
        })
        .collect()
}

/// The transactions that the locked ones give back, what else gives those back, and what brought that back to the giver.
async fn lock_families(
    conn: &mut PgConn,
    transactions: &mut HashMap<TransactionId, Transaction>,
) -> Result<(), DbError> {
    let originals: HashSet<TransactionId> = transactions
        .values()
        .filter_map(|transaction| transaction.related_transaction_id)
        .collect();
    if originals.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = originals.iter().map(|id| id.uuid()).collect();
    let siblings: Vec<TransactionRow> = wallet_transactions::table
        .filter(wallet_transactions::related_transaction_id.eq_any(ids))
        .order(wallet_transactions::id.asc())
        .select(TransactionRow::as_select())
        .for_no_key_update()
        .load(conn)
        .await?;
    let siblings = by_id(siblings)?;
    // One that comes after this look is not counted yet, which grants less and never more.
    let returns = returns_of(conn, siblings.values()).await?;
    for (id, transaction) in lock_transactions(conn, originals, Patience::Wait)
        .await?
        .into_iter()
        .chain(siblings)
        .chain(returns.into_iter().map(|found| (found.id, found)))
    {
        transactions.entry(id).or_insert(transaction);
    }
    Ok(())
}

async fn booked(conn: &mut PgConn, steps: &[&Step]) -> Result<HashSet<(RefKind, String)>, DbError> {
    let refs: Vec<ExternalRef> = steps.iter().filter_map(|step| step.command.reference()).collect();
    if refs.is_empty() {
        return Ok(HashSet::new());
    }
    let depends_on = steps.iter().flat_map(|step| step.command.depends_on());
    let kinds: Vec<RefKind> = refs
        .iter()
        .map(ExternalRef::kind)
        .chain(depends_on.copied())
        .collect();
    let ids: Vec<&str> = refs.iter().map(ExternalRef::id).collect();
    let found: Vec<(RefKind, String)> = external_refs::table
        .filter(external_refs::kind.eq_any(kinds))
        .filter(external_refs::external_id.eq_any(ids))
        .select((external_refs::kind, external_refs::external_id))
        .load(conn)
        .await?;
    Ok(found.into_iter().collect())
}

async fn owners(
    conn: &mut PgConn,
    steps: &[&Step],
) -> Result<HashMap<(RefKind, String), TransactionId>, DbError> {
    let refs: Vec<ExternalRef> = steps.iter().filter_map(|step| step.command.object()).collect();
    if refs.is_empty() {
        return Ok(HashMap::new());
    }
    let kinds: Vec<RefKind> = refs.iter().map(ExternalRef::kind).collect();
    let ids: Vec<&str> = refs.iter().map(ExternalRef::id).collect();
    let found: Vec<(RefKind, String, Uuid)> = external_refs::table
        .filter(external_refs::kind.eq_any(kinds))
        .filter(external_refs::external_id.eq_any(ids))
        .select((
            external_refs::kind,
            external_refs::external_id,
            external_refs::transaction_id,
        ))
        .load(conn)
        .await?;
    Ok(found
        .into_iter()
        .map(|(kind, id, owner)| ((kind, id), TransactionId::from_uuid(owner)))
        .collect())
}

/// Their rows are locked, so that nothing of it is moved before the commit.
async fn suspended(
    conn: &mut PgConn,
    steps: &[&Step],
) -> Result<HashMap<TransactionId, Vec<Money>>, DbError> {
    let mut suspended: HashMap<TransactionId, Vec<Money>> = HashMap::new();
    for step in steps.iter().filter(|step| step.command.concerns_suspense()) {
        let amounts = suspended_of(conn, step.transaction).await?;
        let amounts = amounts.into_iter().map(|one| one.amount).collect();
        suspended.insert(step.transaction, amounts);
    }
    Ok(suspended)
}

/// The jobs of these transactions are locked first, so that no worker begins a call between this look and the commit.
async fn money_sent(conn: &mut PgConn, steps: &[&Step]) -> Result<HashSet<TransactionId>, DbError> {
    let ids: Vec<Uuid> = steps
        .iter()
        .filter(|step| matches!(step.command, Command::Cancel(_)))
        .map(|step| step.transaction.uuid())
        .collect();
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let _jobs: Vec<i64> = jobs::table
        .filter(jobs::transaction_id.eq_any(&ids))
        .order(jobs::id.asc())
        .select(jobs::id)
        .for_update()
        .load(conn)
        .await?;
    let sent: Vec<Uuid> = stripe_calls::table
        // The index begins with it.
        .filter(stripe_calls::operation.eq_any(Operation::ALL))
        .filter(stripe_calls::subject_id.eq_any(&ids))
        .filter(stripe_calls::outcome.eq_any(CallOutcome::MAY_EXIST))
        .select(stripe_calls::subject_id)
        .load(conn)
        .await?;
    Ok(sent.into_iter().map(TransactionId::from_uuid).collect())
}
