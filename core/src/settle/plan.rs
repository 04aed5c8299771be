//! Deciding a batch in memory: each step sees what the steps before it did.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::lock::{Locked, is_valid};
use super::{Outcome, Settled, Step};
use crate::alarms::AlarmKind;
use crate::db::DbError;
use crate::flows::{Command, Context, Contradiction, Decided, Decision, decide};
use crate::ids::{IdSource, JobId, TransactionId, WalletId};
use crate::jobs::{Claim, NewJob, QueueName};
use crate::ledger::{Account, Collected, Leg, LockedBalances, PostingError};
use crate::money::{Money, MoneyError};
use crate::transactions::{
    Advance, ExternalRef, FailureCode, FailureReason, Flow, RefKind, Stage, Transaction,
};

/// A decision to write.
pub(super) struct Planned {
    /// The claim of the job whose effect it is.
    pub(super) claim: Claim,
    pub(super) transaction: TransactionId,
    pub(super) wallets: Vec<WalletId>,
    /// The stage of the transaction before; the write is conditional on it.
    pub(super) from: Stage,
    pub(super) decision: Decision,
}

impl Planned {
    /// Returns the stage of the transaction after the decision.
    pub(super) fn to(&self) -> Stage {
        self.decision.to.unwrap_or(self.from)
    }

    pub(super) fn advance(&self) -> Advance<'_> {
        Advance {
            transaction: self.transaction,
            from: self.from,
            to: self.to(),
            changes: &self.decision.changes,
        }
    }
}

/// Everything that one batch writes.
pub(super) struct Plan {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) balances: LockedBalances,
    booked: HashSet<(RefKind, String)>,
    owners: HashMap<(RefKind, String), TransactionId>,
    suspended: HashMap<TransactionId, Vec<Money>>,
    money_sent: HashSet<TransactionId>,
    pub(super) planned: Vec<Planned>,
    /// The debt payments: transactions that nobody requested, opened and completed here.
    pub(super) opened: Vec<Transaction>,
    causes: HashMap<WalletId, TransactionId>,
    pub(super) finished: Vec<Claim>,
    pub(super) processed_events: Vec<String>,
    /// The alarms to raise: kind, subject and message.
    pub(super) alarms: Vec<(AlarmKind, String, String)>,
}

impl Plan {
    pub(super) fn postings(&self) -> Vec<(TransactionId, Vec<Leg>)> {
        self.planned
            .iter()
            .map(|planned| (planned.transaction, planned.decision.legs.clone()))
            .collect()
    }

    pub(super) fn follow_ups(&self, now: DateTime<Utc>) -> Vec<NewJob> {
        self.planned
            .iter()
            .flat_map(|planned| {
                planned.decision.follow_ups.iter().map(move |job| {
                    NewJob::for_transaction(*job, planned.transaction, planned.wallets.clone(), now)
                })
            })
            .collect()
    }

    pub(super) fn into_settled(self) -> Settled {
        let queues: BTreeSet<QueueName> = self
            .planned
            .iter()
            .flat_map(|planned| planned.decision.follow_ups.iter().map(|job| job.queue()))
            .collect();
        let payments = self
            .opened
            .iter()
            .flat_map(|payment| [payment.id.uuid(), payment.wallet_id.uuid()]);
        let debtors = self.balances.changed().map(|(id, _)| id.uuid());
        let beside = if self.opened.is_empty() {
            Vec::new()
        } else {
            payments.chain(debtors).collect()
        };
        Settled {
            outcomes: self.outcomes,
            beside,
            queues: queues.into_iter().collect(),
        }
    }
}

/// Plans the steps. `ids` and `now` are for the debt payments that are opened on the way.
///
/// # Errors
/// When a debt payment cannot be opened as a transaction: then nothing of the plan may be written.
pub(super) fn plan(
    locked: Locked,
    steps: &[Step],
    ids: &dyn IdSource,
    now: DateTime<Utc>,
) -> Result<Plan, DbError> {
    let Locked {
        fences,
        held,
        balances,
        causes,
        mut transactions,
        booked,
        owners,
        suspended,
        money_sent,
    } = locked;
    let mut plan = Plan {
        outcomes: Vec::with_capacity(steps.len()),
        balances,
        booked,
        owners,
        suspended,
        money_sent,
        planned: Vec::new(),
        opened: Vec::new(),
        causes,
        finished: Vec::new(),
        processed_events: Vec::new(),
        alarms: Vec::new(),
    };
    // The jobs whose later steps are left out, and the outcome of these.
    let mut stopped: HashMap<JobId, Outcome> = HashMap::new();
    for step in steps {
        if let Some(why) = stopped.get(&step.claim.job) {
            plan.outcomes.push(why.clone());
            continue;
        }
        if held.contains(&step.claim.job) {
            plan.outcomes.push(Outcome::Held);
            continue;
        }
        if !is_valid(&fences, step) {
            plan.outcomes.push(Outcome::StaleFence);
            continue;
        }
        let outcome = plan_one(&mut plan, &mut transactions, step, (ids, now))?;
        if matches!(
            outcome,
            Outcome::Overtaken | Outcome::ForeignObject(_) | Outcome::Refused(_)
        ) {
            stopped.insert(step.claim.job, outcome.clone());
            plan.outcomes.push(outcome);
            continue;
        }
        plan.outcomes.push(outcome);
        plan.finished.extend(step.ends_job.then_some(step.claim));
        plan.processed_events.extend(step.stripe_event.clone());
    }
    Ok(plan)
}

fn plan_one(
    plan: &mut Plan,
    transactions: &mut HashMap<TransactionId, Transaction>,
    step: &Step,
    (ids, now): (&dyn IdSource, DateTime<Utc>),
) -> Result<Outcome, DbError> {
    let Some(transaction) = transactions.get(&step.transaction) else {
        let message = "a step for a transaction that does not exist".to_owned();
        plan.alarms.push((
            AlarmKind::UnknownTransaction,
            step.transaction.to_string(),
            message,
        ));
        return Ok(Outcome::UnknownTransaction);
    };
    if let Some((object, owner)) = plan.owner_of(&step.command)
        && owner != transaction.id
    {
        let message = format!(
            "{object} is of transaction {owner}, and was told of as one of {}",
            transaction.id
        );
        plan.alarms
            .push((AlarmKind::ForeignObject, object, message.clone()));
        return Ok(Outcome::ForeignObject(message));
    }
    let mut decision = match plan.ask(transactions, transaction, &step.command) {
        Ok(Some(decision)) => decision,
        Ok(None) => return Ok(Outcome::AlreadyApplied),
        Err(_) if step.seen_at.is_some_and(|seen| seen != transaction.stage) => {
            return Ok(Outcome::Overtaken);
        }
        Err(why) => return Ok(contradiction(plan, step, why)),
    };
    if step.keeps_refusals
        && decision.to == Some(Stage::Failed)
        && let Some(reason) = &decision.changes.failure_reason
    {
        return Ok(Outcome::Refused(reason.clone()));
    }
    let mut collected = plan.balances.book(&decision.legs, decision.owes);
    if let Err(error) = collected {
        // The wallet cannot take the posting: the flow's own refusal applies, if it has one at this stage.
        let Some(reason) = refusal(&step.command, error) else {
            return Ok(contradiction(plan, step, error.into()));
        };
        let refused = plan.ask(transactions, transaction, &Command::Refuse(reason.clone()));
        let Ok(Some(instead)) = refused else {
            return Ok(contradiction(plan, step, error.into()));
        };
        if step.keeps_refusals {
            return Ok(Outcome::Refused(reason));
        }
        decision = instead;
        collected = plan.balances.book(&decision.legs, decision.owes);
        if collected.is_err() {
            return Ok(contradiction(plan, step, error.into()));
        }
    }
    let (id, from, wallets) = (transaction.id, transaction.stage, transaction.wallets());
    let stage = decision.to.unwrap_or(from);
    if let Some(transaction) = transactions.get_mut(&id) {
        advance(transaction, &decision);
    }
    for (kind, message) in &decision.alarms {
        plan.alarms
            .push((*kind, step.transaction.to_string(), message.clone()));
    }
    let refs = decision.refs.iter().map(key);
    plan.booked.extend(refs.clone());
    plan.owners.extend(refs.map(|key| (key, id)));
    plan.follow_suspense(id, &decision.legs);
    if let Some((wallet, debt)) = decision.owes
        && debt.is_positive()
    {
        plan.causes.entry(wallet).or_insert(id);
    }
    plan.planned.push(Planned {
        claim: step.claim,
        transaction: id,
        wallets,
        from,
        decision,
    });
    for one in collected.into_iter().flatten() {
        plan.open_payment(step.claim, one, TransactionId::from_uuid(ids.next()), now)?;
    }
    Ok(Outcome::Applied(stage))
}

impl Plan {
    /// Returns the Stripe object of a command and the transaction to which it leads already, if it does.
    fn owner_of(&self, command: &Command) -> Option<(String, TransactionId)> {
        let object = command.object()?;
        let owner = self.owners.get(&key(&object))?;
        Some((object.id().to_owned(), *owner))
    }

    /// Opens the debt payment for what was collected from a wallet: a transaction of the wallet's owner, whatever brought the money. The balances
    /// have been changed for it already, so an error here ends the whole batch.
    fn open_payment(
        &mut self,
        claim: Claim,
        collected: Collected,
        id: TransactionId,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        let owner = self.balances.wallet(collected.from).map(|wallet| wallet.user_id);
        let owner = owner.ok_or_else(|| DbError::inconsistent("wallets", "id", collected.from))?;
        let mut payment = Transaction::accepted(
            id,
            Flow::DebtPayment,
            collected.from,
            owner,
            collected.amount,
            now,
        );
        payment.related_transaction_id = self.causes.get(&collected.debtor).copied();
        let no_relatives = Context {
            balances: &self.balances,
            original: None,
            relatives: &[],
            suspended: &[],
            money_sent: false,
            booked: false,
            known_as: &[],
        };
        let Ok(Some(decision)) = decide(&payment, no_relatives, &Command::Execute) else {
            return Err(DbError::inconsistent("wallet_transactions", "flow", id));
        };
        self.planned.push(Planned {
            claim,
            transaction: id,
            wallets: payment.wallets(),
            from: Stage::Accepted,
            decision,
        });
        self.opened.push(payment);
        Ok(())
    }

    /// Updates the amounts in suspense that later steps see. If a sum is out of range, the amount stays as it was.
    fn follow_suspense(&mut self, transaction: TransactionId, legs: &[Leg]) {
        let amounts = self.suspended.entry(transaction).or_default();
        for leg in legs.iter().filter(|leg| leg.account == Account::SUSPENSE) {
            let currency = leg.amount.currency();
            match amounts.iter_mut().find(|amount| amount.currency() == currency) {
                Some(amount) => *amount = amount.checked_add(leg.amount).unwrap_or(*amount),
                None => amounts.push(leg.amount),
            }
        }
    }

    /// Lets the flow decide about the command, given everything as the earlier steps have left it.
    fn ask(
        &self,
        transactions: &HashMap<TransactionId, Transaction>,
        transaction: &Transaction,
        command: &Command,
    ) -> Decided {
        let original = transaction
            .related_transaction_id
            .and_then(|id| transactions.get(&id));
        let relatives: Vec<&Transaction> = match original {
            Some(_) => transactions
                .values()
                .filter(|other| other.related_transaction_id.is_some() && other.id != transaction.id)
                .collect(),
            None => Vec::new(),
        };
        let object = command.reference();
        let is_booked = |kind: RefKind| {
            let id = object.as_ref().map(ExternalRef::id);
            id.is_some_and(|id| self.booked.contains(&(kind, id.to_owned())))
        };
        let booked = object.as_ref().map(ExternalRef::kind).is_some_and(is_booked);
        let depends_on = command.depends_on().iter().copied();
        let known_as: Vec<RefKind> = depends_on.filter(|kind| is_booked(*kind)).collect();
        let context = Context {
            balances: &self.balances,
            original,
            relatives: &relatives,
            suspended: self.suspended.get(&transaction.id).map_or(&[], Vec::as_slice),
            money_sent: self.money_sent.contains(&transaction.id),
            booked,
            known_as: &known_as,
        };
        decide(transaction, context, command)
    }
}

fn contradiction(plan: &mut Plan, step: &Step, why: Contradiction) -> Outcome {
    plan.alarms.push((
        AlarmKind::Contradiction,
        step.transaction.to_string(),
        why.to_string(),
    ));
    Outcome::Contradiction(why)
}

/// Returns what the owner reads when a posting is impossible, or `None` for commands that report what has already happened outside.
fn refusal(command: &Command, error: PostingError) -> Option<FailureReason> {
    if !matches!(command, Command::Execute | Command::Hold) {
        return None;
    }
    match error {
        PostingError::InsufficientFunds(_) => Some(FailureReason::new(
            FailureCode::InsufficientFunds,
            "the wallet's balance is too low",
        )),
        PostingError::Money {
            source: MoneyError::CurrencyMismatch { .. },
            ..
        } => Some(FailureReason::new(
            FailureCode::CurrencyMismatch,
            "the wallets hold different currencies",
        )),
        PostingError::Money { .. } => Some(FailureReason::new(
            FailureCode::LimitExceeded,
            "the amount is more than can be received",
        )),
        PostingError::NotLocked(_) | PostingError::Unbalanced => None,
    }
}

/// Returns the key of a reference. It includes the kind, since one object can lead to several transactions, each by another kind.
fn key(reference: &ExternalRef) -> (RefKind, String) {
    (reference.kind(), reference.id().to_owned())
}

fn set<T: Clone>(column: &mut Option<T>, change: &Option<T>) {
    if change.is_some() {
        column.clone_from(change);
    }
}

/// Applies a decision to the transaction that the later steps of the batch see.
pub(super) fn advance(transaction: &mut Transaction, decision: &Decision) {
    if let Some(stage) = decision.to {
        transaction.stage = stage;
        transaction.status = stage.status();
    }
    let changes = &decision.changes;
    set(&mut transaction.stripe_payment_intent_id, &changes.payment_intent);
    set(&mut transaction.stripe_transfer_id, &changes.transfer);
    set(&mut transaction.stripe_payout_id, &changes.payout);
    set(&mut transaction.stripe_refund_id, &changes.refund);
    if let Some(reason) = &changes.failure_reason {
        transaction.failure_reason = Some(reason.to_string());
    }
    for (column, change) in [
        (&mut transaction.fee, changes.fee),
        (&mut transaction.held, changes.held),
        (&mut transaction.claimed, changes.claimed),
    ] {
        *column = change.or(*column);
    }
    if let Some(credited) = changes.credited {
        transaction.requested = Some(transaction.amount);
        transaction.amount = credited;
    }
    transaction.available_on = changes.available_on.or(transaction.available_on);
}
