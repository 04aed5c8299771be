//! A case for each edge: a transaction at its stage, a command, and what must come of it.

mod deposit;
mod dispute;
mod refund;
mod returned;
mod transfer;
mod withdrawal;

use std::collections::HashMap;

use crate::flows::testing::{OTHER, WALLET, at, balance, transaction, usd};
use crate::flows::{Command, Context, Decision, DepositCommand, Event, decide};
use crate::ledger::{Account, Leg, LockedBalances};
use crate::money::Money;
use crate::transactions::{Flow, RefKind, Stage, Transaction};

/// One case. Unless it says otherwise, the amount is 100.00 usd and the wallets have 500.00 usd to spend.
pub(super) struct Case {
    pub(super) transaction: Transaction,
    pub(super) command: Command,
    /// The stage after; `None` if money moves beside the stages.
    pub(super) to: Option<Stage>,
    /// What is special about the case, in words.
    pub(super) when: &'static str,
    original: Option<Transaction>,
    relatives: Vec<Transaction>,
    suspended: Vec<Money>,
    available: i64,
    booked: bool,
    known_as: Vec<RefKind>,
    /// From which account, to which one, how many cents.
    moves: Vec<(Account, Account, i64)>,
    pub(super) owes: i64,
}

impl Case {
    fn new(flow: Flow, from: Stage, command: impl Into<Command>) -> Self {
        Self {
            transaction: at(from, transaction(1, flow, usd(10_000))),
            command: command.into(),
            to: None,
            when: "",
            original: None,
            relatives: Vec::new(),
            suspended: Vec::new(),
            available: 50_000,
            booked: false,
            known_as: Vec::new(),
            moves: Vec::new(),
            owes: 0,
        }
    }

    fn to(mut self, to: Stage) -> Self {
        self.to = Some(to);
        self
    }

    fn when(mut self, when: &'static str) -> Self {
        self.when = when;
        self
    }

    fn of(mut self, original: Transaction) -> Self {
        self.transaction.related_transaction_id = Some(original.id);
        self.original = Some(original);
        self
    }

    /// Beside another one that gives back the same original.
    fn beside(mut self, mut other: Transaction) -> Self {
        other.related_transaction_id = self.transaction.related_transaction_id;
        self.relatives.push(other);
        self
    }

    fn fee(mut self, minor: i64) -> Self {
        self.transaction.fee = Some(usd(minor));
        self
    }

    fn amount(mut self, minor: i64) -> Self {
        self.transaction.amount = usd(minor);
        self
    }

    fn held(mut self, minor: i64) -> Self {
        self.transaction.held = Some(usd(minor));
        self
    }

    fn suspended(mut self, minor: i64) -> Self {
        self.suspended.push(usd(minor));
        self
    }

    fn claimed(mut self, minor: i64) -> Self {
        self.transaction.claimed = Some(usd(minor));
        self
    }

    fn has(mut self, minor: i64) -> Self {
        self.available = minor;
        self
    }

    fn booked(mut self) -> Self {
        self.booked = true;
        self
    }

    fn known_as(mut self, kind: RefKind) -> Self {
        self.known_as.push(kind);
        self
    }

    fn moves(mut self, from: Account, to: Account, minor: i64) -> Self {
        self.moves.push((from, to, minor));
        self
    }

    fn owes(mut self, minor: i64) -> Self {
        self.owes = minor;
        self
    }

    /// The event of the edge.
    pub(super) fn event(&self) -> Option<Event> {
        match &self.command {
            Command::Deposit(DepositCommand::SettlePayment(_, received)) => {
                let is_all = *received == self.transaction.amount;
                Some(if is_all {
                    Event::PaymentSucceeded
                } else {
                    Event::PaymentMismatched
                })
            }
            Command::BookDispute(_) if self.transaction.flow.is_dispute_turn() => Some(Event::Executed),
            command => command.event(),
        }
    }

    pub(super) fn legs(&self) -> Vec<Leg> {
        self.moves
            .iter()
            .flat_map(|(from, to, minor)| Leg::pair(*from, *to, usd(*minor)))
            .collect()
    }

    pub(super) fn balances(&self) -> LockedBalances {
        LockedBalances::new(HashMap::from([
            (WALLET, balance(WALLET, usd(self.available), usd(50_000), usd(0))),
            (OTHER, balance(OTHER, usd(50_000), usd(0), usd(0))),
        ]))
    }

    /// The flow's decision.
    pub(super) fn decide(&self) -> Decision {
        let (balances, relatives) = (self.balances(), self.relatives.iter().collect::<Vec<_>>());
        let context = Context {
            balances: &balances,
            original: self.original.as_ref(),
            relatives: &relatives,
            suspended: &self.suspended,
            money_sent: false,
            booked: self.booked,
            known_as: &self.known_as,
        };
        match decide(&self.transaction, context, &self.command) {
            Ok(Some(decision)) => decision,
            other => panic!("{} {:?}: {other:?}", self.name(), self.event()),
        }
    }

    pub(super) fn name(&self) -> String {
        let (flow, stage) = (self.transaction.flow.as_str(), self.transaction.stage.as_str());
        format!("{flow} at {stage} {}", self.when)
    }
}

/// Every case.
pub(super) fn all() -> Vec<Case> {
    [
        deposit::cases(),
        withdrawal::cases(),
        transfer::cases(),
        refund::cases(),
        returned::cases(),
        dispute::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
