//! Locking everything that a batch touches: jobs, then wallets, then the steps' transactions, each in the order of their ids; then the
//! transactions related to those and, for cancellations, their other jobs.
//!
//! What is read is read after the rows before it have been locked, so that it is what the locks protect.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::Step;
use crate::db::{self, DbError, Patience, PgConn};
use crate::debts::{self, Cause};
use crate::flows::Command;
use crate::ids::{JobId, TransactionId, WalletId};
use crate::jobs;
use crate::ledger::{LockedBalances, suspended_of};
use crate::money::Money;
use crate::stripe;
use crate::transactions::{self, ExternalRef, RefKind, Transaction, returns_of};
use crate::wallets;

/// The rows that the batch has locked, and what was read under these locks.
pub(super) struct Locked {
    /// The fence of each job that still exists and is not parked.
    pub(super) fences: HashMap<JobId, i64>,
    /// The jobs whose steps are left out, because another session holds one of their rows.
    pub(super) held: HashSet<JobId>,
    /// The wallets of the steps, and those in which their owners owe; where a step may create a debt, all of its owner's in the currency.
    pub(super) balances: LockedBalances,
    /// For each wallet in which something is owed, the transaction that caused the oldest unpaid part of it.
    pub(super) causes: HashMap<WalletId, TransactionId>,
    /// The transactions of the steps, their originals, what else relates to those originals, and what became of that later.
    pub(super) transactions: HashMap<TransactionId, Transaction>,
    /// Those Stripe objects that the steps book once, or on which they depend, and that are booked already.
    pub(super) booked: HashSet<(RefKind, String)>,
    /// The transactions to which the Stripe objects of the steps lead already.
    pub(super) owners: HashMap<(RefKind, String), TransactionId>,
    /// The amounts in suspense of those transactions whose steps decide about them.
    pub(super) suspended: HashMap<TransactionId, Vec<Money>>,
    /// The transactions to cancel for which a call that moves money may have been sent.
    pub(super) money_sent: HashSet<TransactionId>,
}

pub(super) async fn lock(conn: &mut PgConn, steps: &[Step], patience: Patience) -> Result<Locked, DbError> {
    if patience == Patience::PassBy {
        db::wait_briefly(conn).await?;
    }
    let jobs_of_steps: Vec<JobId> = steps.iter().map(|step| step.claim.job).collect();
    let (fences, mut held) = jobs::lock_fences(conn, &jobs_of_steps, patience).await?;
    let alive = |step: &&Step| is_valid(&fences, step);
    let mut live: Vec<&Step> = steps.iter().filter(alive).collect();
    let wallets_of = |steps: &mut dyn Iterator<Item = &&Step>| -> HashSet<WalletId> {
        steps.flat_map(|step| step.wallets.iter().copied()).collect()
    };
    let named = wallets_of(&mut live.iter());
    let may_owe = wallets_of(&mut live.iter().filter(|step| step.command.may_owe()));
    let (balances, held_wallets) = wallets::lock_balances(conn, &named, &may_owe, patience).await?;
    let balances = LockedBalances::new(balances);
    let causes = causes(conn, &balances).await?;
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
    let mut transactions = transactions::lock(conn, &wanted, patience).await?;
    let held_transactions = match patience {
        Patience::Wait => HashSet::new(),
        Patience::PassBy => {
            let missing = wanted.iter().filter(|id| !transactions.contains_key(id));
            transactions::existing(conn, missing.copied()).await?
        }
    };
    leave_out(&mut live, &|step| held_transactions.contains(&step.transaction));
    // Locked after the steps' own transactions, against the order of ids: a whole family shares a wallet, which is locked already.
    lock_families(conn, &mut transactions).await?;
    Ok(Locked {
        causes,
        booked: booked(conn, &live).await?,
        owners: owners(conn, &live).await?,
        suspended: suspended(conn, &live).await?,
        money_sent: money_sent(conn, &live).await?,
        fences,
        held,
        balances,
        transactions,
    })
}

/// Returns whether the claim of this step is valid: its job still exists, is not parked, and has not been claimed again.
pub(super) fn is_valid(fences: &HashMap<JobId, i64>, step: &Step) -> bool {
    fences.get(&step.claim.job) == Some(&step.claim.fence)
}

/// Returns what caused the oldest debt of each of these wallets. Without debts, the database is not queried.
async fn causes(
    conn: &mut PgConn,
    balances: &LockedBalances,
) -> Result<HashMap<WalletId, TransactionId>, DbError> {
    let debts: Vec<(WalletId, Money)> = balances.debts().collect();
    let causes = debts::causes(conn, &debts).await?;
    let oldest = |(wallet, of_it): (WalletId, Vec<Cause>)| Some((wallet, of_it.last()?.transaction));
    Ok(causes.into_iter().filter_map(oldest).collect())
}

/// Locks the originals of the locked transactions, what else relates to those originals, and what became of that later.
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
    let siblings = transactions::lock_related_to(conn, &originals).await?;
    // A return that is committed after this read is not counted yet, so that less may be granted, never more.
    let returns = returns_of(conn, siblings.values()).await?;
    for (id, transaction) in transactions::lock(conn, &originals, Patience::Wait)
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
    let depends_on = steps.iter().flat_map(|step| step.command.depends_on()).copied();
    let kinds: Vec<RefKind> = refs.iter().map(ExternalRef::kind).chain(depends_on).collect();
    let ids: Vec<&str> = refs.iter().map(ExternalRef::id).collect();
    let found = transactions::leading(conn, &kinds, &ids).await?;
    Ok(found
        .into_iter()
        .map(|(kind, object, _)| (kind, object))
        .collect())
}

async fn owners(
    conn: &mut PgConn,
    steps: &[&Step],
) -> Result<HashMap<(RefKind, String), TransactionId>, DbError> {
    let refs: Vec<ExternalRef> = steps.iter().filter_map(|step| step.command.object()).collect();
    let kinds: Vec<RefKind> = refs.iter().map(ExternalRef::kind).collect();
    let ids: Vec<&str> = refs.iter().map(ExternalRef::id).collect();
    let found = transactions::leading(conn, &kinds, &ids).await?;
    Ok(found
        .into_iter()
        .map(|(kind, object, owner)| ((kind, object), owner))
        .collect())
}

/// Returns what lies in suspense for the transactions whose steps decide about it. Their rows are locked, so none of it moves before the commit.
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

/// Locks the jobs of the transactions to cancel before it reads their calls, so that no worker begins a call before the commit.
async fn money_sent(conn: &mut PgConn, steps: &[&Step]) -> Result<HashSet<TransactionId>, DbError> {
    let ids: Vec<Uuid> = steps
        .iter()
        .filter(|step| matches!(step.command, Command::Cancel(_)))
        .map(|step| step.transaction.uuid())
        .collect();
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    jobs::lock_of(conn, &ids).await?;
    let sent = stripe::may_have_sent(conn, &ids).await?;
    Ok(sent.into_iter().map(TransactionId::from_uuid).collect())
}
