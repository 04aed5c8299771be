//! Settlement without a database: what would be rows is kept in maps, and the rules of the ledger are checked after every batch.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::DateTime;
use uuid::Uuid;

use crate::alarms::AlarmKind;
use crate::flows::Command;
use crate::flows::testing::{OTHER, WALLET, balance};
use crate::ids::{IdSource, JobId, TransactionId, WalletId};
use crate::jobs::{Claim, JobKind};
use crate::ledger::{Account, Balance, Leg, LockedBalances, PlatformAccount};
use crate::money::{Currency, Money};
use crate::settle::lock::Locked;
use crate::settle::plan::{advance, plan};
use crate::settle::{Outcome, Step};
use crate::transactions::{Flow, RefKind, Stage, Transaction};

/// The claim of every job that is not stale.
const LIVE: Claim = Claim {
    job: JobId(1),
    fence: 2,
};

/// The ids of what settlement opens by itself, far from those of the stories.
#[derive(Debug, Default)]
struct Counted(AtomicU64);

impl IdSource for Counted {
    fn next(&self) -> Uuid {
        Uuid::from_u128((1 << 100) + u128::from(self.0.fetch_add(1, Ordering::Relaxed)))
    }
}

pub(super) struct World {
    pub(super) transactions: HashMap<TransactionId, Transaction>,
    pub(super) balances: HashMap<WalletId, Balance>,
    pub(super) alarms: Vec<AlarmKind>,
    /// Every stage at which a transaction has been.
    pub(super) visited: HashSet<(TransactionId, Stage)>,
    refs: HashMap<(RefKind, String), TransactionId>,
    ids: Counted,
    entries: Vec<(TransactionId, Leg)>,
    /// What Stripe moved for disputes, in minor units.
    moved_for_disputes: i64,
    /// How many of Stripe's movements were booked for a transaction.
    movements: HashMap<TransactionId, usize>,
}

fn minor(money: Money) -> i64 {
    money.minor().unwrap()
}

impl World {
    /// Creates two wallets with these spendable balances, in minor units.
    pub(super) fn new(currency: Currency, available: [i64; 2]) -> Self {
        let zero = Money::zero(currency);
        let mut world = Self {
            transactions: HashMap::new(),
            balances: HashMap::new(),
            alarms: Vec::new(),
            visited: HashSet::new(),
            refs: HashMap::new(),
            ids: Counted::default(),
            entries: Vec::new(),
            moved_for_disputes: 0,
            movements: HashMap::new(),
        };
        let opening = TransactionId::from_uuid(Uuid::nil());
        for (wallet, minor) in [WALLET, OTHER].into_iter().zip(available) {
            let amount = Money::from_minor(minor, currency).unwrap();
            world.balances.insert(wallet, balance(wallet, amount, zero, zero));
            let clearing = Account::Platform(PlatformAccount::StripeClearing);
            let legs = Leg::pair(clearing, Account::Available(wallet), amount);
            world.entries.extend(legs.map(|leg| (opening, leg)));
        }
        world
    }

    pub(super) fn add(&mut self, transaction: &Transaction) {
        self.visited.insert((transaction.id, transaction.stage));
        self.transactions.insert(transaction.id, transaction.clone());
    }

    pub(super) fn movements(&self, id: TransactionId) -> usize {
        self.movements.get(&id).copied().unwrap_or_default()
    }

    pub(super) fn stage(&self, id: TransactionId) -> Stage {
        self.transactions[&id].stage
    }

    /// Returns the available, held and owed balances of a wallet, in minor units.
    pub(super) fn balance(&self, wallet: WalletId) -> [i64; 3] {
        let balance = &self.balances[&wallet];
        [balance.available, balance.held, balance.owed].map(minor)
    }

    /// Returns the sum of an account of the platform, in minor units.
    pub(super) fn sum(&self, account: PlatformAccount) -> i64 {
        self.sum_of(Account::Platform(account))
    }

    fn sum_of(&self, account: Account) -> i64 {
        let of_account = self.entries.iter().filter(|(_, leg)| leg.account == account);
        of_account.map(|(_, leg)| minor(leg.amount)).sum()
    }

    pub(super) fn tell(&mut self, id: TransactionId, command: impl Into<Command>) -> Outcome {
        let step = self.step(id, command);
        self.settle(&[step]).remove(0)
    }

    pub(super) fn step(&self, id: TransactionId, command: impl Into<Command>) -> Step {
        Step::new(LIVE, id, self.transactions[&id].wallets(), command)
    }

    /// Returns the jobs that a batch calls for; the batch itself is discarded.
    pub(super) fn follow_ups(&self, steps: &[Step]) -> Vec<JobKind> {
        let plan = plan(self.lock(steps), steps, &self.ids, DateTime::UNIX_EPOCH).unwrap();
        let decisions = plan.planned.iter().map(|planned| &planned.decision);
        let next = decisions.flat_map(|decision| decision.follow_ups.iter());
        next.copied().collect()
    }

    /// Makes it the step of a worker that has lost its claim.
    pub(super) fn stale(mut step: Step) -> Step {
        step.claim.fence -= 1;
        step
    }

    /// Settles one batch, as settlement does it.
    pub(super) fn settle(&mut self, steps: &[Step]) -> Vec<Outcome> {
        let plan = plan(self.lock(steps), steps, &self.ids, DateTime::UNIX_EPOCH).unwrap();
        for (wallet, balance) in plan.balances.changed() {
            self.balances.insert(wallet, *balance);
        }
        for payment in &plan.opened {
            self.add(payment);
        }
        for planned in &plan.planned {
            let transaction = self.transactions.get_mut(&planned.transaction).unwrap();
            assert_eq!(transaction.stage, planned.from, "a write that is not conditional");
            assert!(
                !planned.from.status().is_final() || planned.decision.to.is_none(),
                "{} left {}",
                transaction.flow.as_str(),
                planned.from.as_str()
            );
            advance(transaction, &planned.decision);
            self.visited.insert((transaction.id, transaction.stage));
            for object in &planned.decision.refs {
                let key = (object.kind(), object.id().to_owned());
                let old = self.refs.insert(key, planned.transaction);
                assert!(old.is_none(), "{object:?} is recorded twice");
            }
            let legs = planned.decision.legs.iter().copied();
            self.entries.extend(legs.map(|leg| (planned.transaction, leg)));
        }
        for (step, outcome) in steps.iter().zip(&plan.outcomes) {
            if let (Command::BookDispute(entry), Outcome::Applied(_)) = (&step.command, outcome) {
                *self.movements.entry(step.transaction).or_default() += 1;
                // What a dispute moves after its end does not go through the receivables.
                if self.transactions[&step.transaction].flow == Flow::Dispute {
                    self.moved_for_disputes += minor(entry.amount);
                }
            }
        }
        self.alarms.extend(plan.alarms.iter().map(|(kind, ..)| *kind));
        self.check();
        plan.outcomes
    }

    /// Collects what settlement locks: the transactions of the steps, their originals, what else relates to these, and what became of that later.
    fn lock(&self, steps: &[Step]) -> Locked {
        let live: Vec<&Step> = steps.iter().filter(|step| step.claim == LIVE).collect();
        let own = |step: &&Step| self.transactions.get(&step.transaction);
        let originals: HashSet<TransactionId> = live
            .iter()
            .filter_map(own)
            .filter_map(|transaction| transaction.related_transaction_id)
            .collect();
        let related_of = |id: TransactionId| self.transactions.get(&id)?.related_transaction_id;
        let is_family = |transaction: &Transaction| {
            let related = transaction.related_transaction_id;
            live.iter().any(|step| step.transaction == transaction.id)
                || originals.contains(&transaction.id)
                || related.is_some_and(|id| originals.contains(&id))
                || related
                    .and_then(related_of)
                    .is_some_and(|id| originals.contains(&id))
        };
        Locked {
            held: std::collections::HashSet::new(),
            fences: HashMap::from([(LIVE.job, LIVE.fence)]),
            balances: LockedBalances::new(
                live.iter()
                    .flat_map(|step| &step.wallets)
                    .map(|wallet| (*wallet, self.balances[wallet]))
                    .collect(),
            ),
            transactions: self
                .transactions
                .values()
                .filter(|transaction| is_family(transaction))
                .map(|transaction| (transaction.id, transaction.clone()))
                .collect(),
            causes: HashMap::new(),
            booked: self.refs.keys().cloned().collect(),
            owners: self.refs.clone(),
            suspended: live
                .iter()
                .map(|step| (step.transaction, self.suspended(step.transaction)))
                .collect(),
            money_sent: HashSet::new(),
        }
    }

    fn suspended(&self, id: TransactionId) -> Vec<Money> {
        let of_it = self.entries.iter().filter(|(of, _)| *of == id);
        let suspense = of_it.filter(|(_, leg)| leg.account == Account::SUSPENSE);
        let sum = suspense.map(|(_, leg)| leg.amount);
        let sum = sum.reduce(|sum, amount| sum.checked_add(amount).unwrap());
        sum.into_iter().filter(|sum| !sum.is_zero()).collect()
    }

    fn check(&self) {
        let mut sums: HashMap<TransactionId, i64> = HashMap::new();
        for (id, leg) in &self.entries {
            *sums.entry(*id).or_default() += minor(leg.amount);
        }
        assert!(sums.values().all(|sum| *sum == 0), "postings do not sum to zero");
        for wallet in self.balances.keys() {
            let [available, held, owed] = self.balance(*wallet);
            assert!(available >= 0 && held >= 0 && owed >= 0, "below zero");
            assert!(owed == 0 || available == 0, "a debt beside money to spend");
            assert_eq!(available, self.sum_of(Account::Available(*wallet)));
            assert_eq!(held, self.sum_of(Account::Held(*wallet)));
            let open: i64 = self.of(*wallet).map(holds).sum();
            assert_eq!(held, open, "held is what open transactions hold");
        }
        // What Stripe took and no wallet has paid, except what is held for it and not booked yet.
        let owed: i64 = self.balances.values().map(|balance| minor(balance.owed)).sum();
        let claims: i64 = self.transactions.values().map(claim).sum();
        assert_eq!(
            self.sum(PlatformAccount::PlatformReceivable) + owed,
            self.moved_for_disputes + claims,
            "the receivables explain what is owed"
        );
    }

    fn of(&self, wallet: WalletId) -> impl Iterator<Item = &Transaction> {
        let transactions = self.transactions.values();
        transactions.filter(move |transaction| transaction.wallet_id == wallet)
    }
}

fn held(transaction: &Transaction) -> i64 {
    transaction.held.map_or(0, minor)
}

/// Returns how much of its wallet a transaction holds.
fn holds(transaction: &Transaction) -> i64 {
    match (transaction.flow, transaction.stage) {
        (Flow::OutsideRefund, Stage::Refunding) | (Flow::Dispute, Stage::Disputed) => held(transaction),
        (Flow::Withdrawal | Flow::DepositRefund | Flow::PayoutReturn, stage) => match stage {
            Stage::Accepted | Stage::Completed | Stage::Failed | Stage::Cancelled => 0,
            _ => minor(transaction.amount),
        },
        _ => 0,
    }
}

/// Returns how much of a transaction the wallet has paid, or owes, into the receivables.
fn claim(transaction: &Transaction) -> i64 {
    let amount = minor(transaction.claimed.unwrap_or(transaction.amount));
    match (transaction.flow, transaction.stage) {
        (Flow::OutsideRefund, Stage::Refunding) | (Flow::Dispute, Stage::Disputed) => {
            amount - held(transaction)
        }
        (Flow::Dispute, Stage::Completed) => amount,
        _ => 0,
    }
}
