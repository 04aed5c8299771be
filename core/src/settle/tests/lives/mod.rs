//! Lives of transactions: the commands that Stripe's reports and our own jobs bring for each, in order.

use std::fmt::Debug;
use std::str::FromStr;

mod deposit;

use uuid::Uuid;

use crate::flows::testing::{OTHER, WALLET, reason, transaction};
use crate::flows::{Command, WithdrawalCommand};
use crate::ids::TransactionId;
use crate::ids::stripe::{PayoutId, ReversalId};
use crate::money::{Currency, Money};
use crate::transactions::{Canceller, FailureCode, Flow, Stage, Transaction};

/// When a command can be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// A job of ours does it, only while its transaction is at this stage.
    At(Stage),
    /// It happens outside, and may be reported at any time once its transaction has been at this stage.
    Since(Stage),
    /// It is reported together with this many movements of Stripe's balance, after them.
    With(usize),
}

#[derive(Debug, Clone)]
pub(super) struct Act {
    pub(super) transaction: TransactionId,
    pub(super) when: When,
    /// The transaction that has to be completed before this one can exist.
    pub(super) after: Option<TransactionId>,
    pub(super) command: Command,
}

/// Everything that happens in one test case, in order.
#[derive(Debug, Default)]
pub(super) struct Story {
    pub(super) transactions: Vec<Transaction>,
    pub(super) acts: Vec<Act>,
}

/// The random numbers from which a life is made; their meaning depends on the life.
pub(super) type Seed = (u8, u8, u8, i64, bool);

/// Names Stripe objects and makes amounts for one story.
pub(super) struct Teller {
    pub(super) currency: Currency,
    pub(super) story: Story,
    current: TransactionId,
    after: Option<TransactionId>,
}

impl Teller {
    pub(super) fn new(currency: Currency) -> Self {
        Self {
            currency,
            story: Story::default(),
            current: TransactionId::from_uuid(Uuid::nil()),
            after: None,
        }
    }

    pub(super) fn money(&self, minor: i64) -> Money {
        Money::from_minor(minor, self.currency).unwrap()
    }

    /// Begins the life of a transaction, which gives back `original` if there is one.
    pub(super) fn begin(&mut self, flow: Flow, minor: i64, original: Option<TransactionId>) -> TransactionId {
        let n = 100 + u128::try_from(self.story.transactions.len()).unwrap();
        let mut new = transaction(n, flow, self.money(minor));
        new.related_transaction_id = original;
        self.current = new.id;
        self.after = original;
        self.story.transactions.push(new);
        self.current
    }

    pub(super) fn last(&mut self) -> &mut Transaction {
        self.story.transactions.last_mut().unwrap()
    }

    /// Returns an id for a Stripe object of the current transaction.
    pub(super) fn id<Id: FromStr<Err: Debug>>(&self, prefix: &str) -> Id {
        format!("{prefix}_{}", self.current.uuid().simple())
            .parse()
            .unwrap()
    }

    pub(super) fn job(&mut self, at: Stage, command: impl Into<Command>) {
        self.tell(When::At(at), command)
    }

    pub(super) fn fact(&mut self, since: Stage, command: impl Into<Command>) {
        self.tell(When::Since(since), command)
    }

    fn tell(&mut self, when: When, command: impl Into<Command>) {
        self.story.acts.push(Act {
            transaction: self.current,
            when,
            after: self.after,
            command: command.into(),
        });
    }

    /// Adds one life with everything that follows from it.
    pub(super) fn live(&mut self, (life, fate, more, minor, turned): Seed) {
        match life % 4 {
            0 => self.deposit(fate, more, minor),
            1 => self.withdrawal(fate, minor),
            2 => {
                self.begin(Flow::Transfer, minor, None);
                self.turn(turned);
                let command = if fate.is_multiple_of(4) {
                    Command::Cancel(Canceller::Owner)
                } else {
                    Command::Execute
                };
                self.job(Stage::Accepted, command);
            }
            _ => self.payment(fate, more, minor, turned),
        }
    }

    fn turn(&mut self, turned: bool) {
        if turned {
            let last = self.last();
            last.wallet_id = OTHER;
            last.counterparty_wallet_id = Some(WALLET);
        }
    }

    fn payment(&mut self, fate: u8, parts: u8, minor: i64, turned: bool) {
        let payment = self.begin(Flow::Payment, minor, None);
        let fee = self.money(minor / 7);
        self.last().fee = Some(fee);
        self.turn(turned);
        if fate.is_multiple_of(5) {
            return self.job(Stage::Accepted, Command::Cancel(Canceller::Owner));
        }
        self.job(Stage::Accepted, Command::Execute);
        let parts = i64::from(parts % 5);
        for n in 0..parts {
            // The last refund takes what is left of the payment, if anything.
            let part = minor / 4;
            let amount = if n == 3 { minor - part * 3 } else { part };
            if amount > 0 {
                self.begin(Flow::PaymentRefund, amount, Some(payment));
                self.turn(!turned);
                let is_cancelled = n == 1 && fate % 5 == 1;
                let command = if is_cancelled {
                    Command::Cancel(Canceller::Owner)
                } else {
                    Command::Execute
                };
                self.job(Stage::Accepted, command);
            }
        }
    }

    fn withdrawal(&mut self, fate: u8, minor: i64) {
        let withdrawal = self.begin(Flow::Withdrawal, minor, None);
        let (payout, reversal) = (self.id::<PayoutId>("po"), self.id::<ReversalId>("trr"));
        let refuse = Command::Refuse(reason(FailureCode::PayoutAccountRefused));
        match fate % 7 {
            0 => return self.job(Stage::Accepted, Command::Cancel(Canceller::Owner)),
            1 => return self.job(Stage::Accepted, refuse),
            _ => self.job(Stage::Accepted, Command::Hold),
        };
        match fate % 7 {
            2 => return self.job(Stage::Held, Command::Cancel(Canceller::Owner)),
            3 => return self.job(Stage::Held, refuse),
            _ => {}
        }
        let transfer = self.id("tr");
        self.job(Stage::Held, WithdrawalCommand::RecordTransfer(transfer));
        let started = WithdrawalCommand::RecordPayout(payout.clone());
        self.fact(Stage::Transferred, started);
        let failed = WithdrawalCommand::FailPayout(Some(payout.clone()), reason(FailureCode::PayoutFailed));
        if fate % 7 == 4 {
            self.fact(Stage::Transferred, failed);
            let amount = self.money(minor);
            let outside = WithdrawalCommand::RecordOutsideReversal(reversal.clone(), amount);
            self.fact(Stage::Returning, outside);
            self.fact(Stage::Returning, Command::RecordReversal(reversal, amount));
            return;
        }
        self.fact(Stage::Transferred, WithdrawalCommand::SettlePayout(Some(payout)));
        if fate % 7 == 5 {
            self.begin(Flow::PayoutReturn, minor, Some(withdrawal));
            let (reversal, amount) = (self.id("trr"), self.money(minor));
            let begun = Command::BeginPayoutReturn(reason(FailureCode::PayoutFailed));
            self.fact(Stage::Accepted, begun);
            self.fact(Stage::Returning, Command::RecordReversal(reversal, amount));
        }
    }
}
