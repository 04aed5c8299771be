//! A deposit, and what is given back of it.

use super::{Teller, When};
use crate::flows::testing::{entry, reason};
use crate::flows::{
    Command, DepositCommand, DisputeCommand, DisputeEnd, RefundCommand, SuspenseReturnCommand,
};
use crate::ids::TransactionId;
use crate::ids::stripe::{PaymentIntentId, RefundId};
use crate::transactions::{Canceller, FailureCode, Flow, Stage};

impl Teller {
    pub(super) fn deposit(&mut self, fate: u8, more: u8, minor: i64) {
        let deposit = self.begin(Flow::Deposit, minor, None);
        let (intent, refund) = (self.id::<PaymentIntentId>("pi"), self.id::<RefundId>("re"));
        let fee = entry(&self.movement("fee"), self.money(minor), self.money(minor / 10));
        let received = self.money(if matches!(fate % 7, 1 | 2) {
            minor + 1
        } else {
            minor
        });
        let paid = DepositCommand::SettlePayment(intent.clone(), received);
        let created = DepositCommand::RecordIntent {
            intent: intent.clone(),
            sealed_client_secret: None,
            message: String::new(),
        };
        let begun = SuspenseReturnCommand::Begin(refund.clone(), received, String::new());
        let returned = SuspenseReturnCommand::Succeed(refund, received);
        match fate % 7 {
            0 => {
                let reason = reason(FailureCode::PaymentCancelled);
                self.fact(Stage::Accepted, created);
                self.fact(Stage::Accepted, DepositCommand::CancelIntent(intent, reason));
            }
            1 => {
                self.fact(Stage::Accepted, created);
                self.fact(Stage::Accepted, paid);
                self.job(Stage::InReview, DepositCommand::CreditReview(received));
                self.fact(Stage::InReview, Command::BookFee(fee));
            }
            2 => {
                self.fact(Stage::Accepted, created);
                self.fact(Stage::Accepted, paid);
                self.fact(Stage::InReview, begun);
                self.fact(Stage::InReview, returned);
                self.fact(Stage::InReview, Command::BookFee(fee));
            }
            3 => {
                let refuse = Command::Refuse(reason(FailureCode::StripeRefused));
                self.job(Stage::Accepted, refuse);
                self.fact(Stage::Failed, paid);
                self.fact(Stage::Failed, begun);
                self.fact(Stage::Failed, returned);
            }
            _ => {
                self.fact(Stage::Accepted, created);
                self.fact(Stage::Accepted, paid);
                self.fact(Stage::Completed, Command::BookFee(fee));
                self.given_back(deposit, fate, more, minor);
            }
        }
    }

    /// Adds refunds and disputes of a deposit, together no more than the deposit.
    fn given_back(&mut self, deposit: TransactionId, fate: u8, more: u8, minor: i64) {
        let part = minor / 3;
        if part == 0 {
            return;
        }
        if !fate.is_multiple_of(3) {
            self.begin(Flow::DepositRefund, part, Some(deposit));
            self.deposit_refund(more, part);
        }
        if fate.is_multiple_of(2) {
            self.begin(Flow::OutsideRefund, part, Some(deposit));
            self.outside_refund(more / 8);
        }
        if more.is_multiple_of(2) {
            self.begin(Flow::Dispute, minor - part * 2, Some(deposit));
            self.dispute(more / 4, minor - part * 2);
        }
    }

    fn deposit_refund(&mut self, fate: u8, minor: i64) {
        let (id, refund) = (self.current, self.id::<RefundId>("re"));
        let refuse = Command::Refuse(reason(FailureCode::StripeRefused));
        self.job(Stage::Accepted, Command::Hold);
        match fate % 5 {
            0 => self.job(Stage::Held, Command::Cancel(Canceller::Owner)),
            1 => self.job(Stage::Held, refuse),
            fate => {
                self.refund_made(Stage::Held, &refund, fate == 2);
                if fate == 3 {
                    self.begin(Flow::RefundReturn, minor, Some(id));
                    self.job(Stage::Accepted, Command::Execute);
                }
            }
        }
    }

    fn outside_refund(&mut self, fate: u8) {
        let refund = self.id("re");
        self.refund_made(Stage::Accepted, &refund, fate.is_multiple_of(2));
    }

    fn refund_made(&mut self, since: Stage, refund: &RefundId, fails: bool) {
        let refund = refund.clone();
        let message = String::new();
        let created = RefundCommand::Record(refund.clone(), message);
        let end = if fails {
            let reason = reason(FailureCode::RefundFailed);
            RefundCommand::Fail(refund, reason)
        } else {
            RefundCommand::Settle(refund)
        };
        self.fact(since, created);
        self.fact(since, end);
    }

    /// Returns the id of a movement of the current transaction.
    fn movement(&self, what: &str) -> String {
        format!("txn_{what}_{}", self.current.uuid().simple())
    }

    fn dispute(&mut self, fate: u8, minor: i64) {
        let end = |said, taken| DisputeCommand::End(said, taken);
        let (nothing, all) = (self.money(0), self.money(minor));
        if fate.is_multiple_of(4) {
            // An inquiry withdraws nothing.
            return self.fact(Stage::Accepted, end(DisputeEnd::InquiryClosed, nothing));
        }
        let taken = entry(&self.movement("out"), self.money(-minor), self.money(15));
        let given = entry(&self.movement("in"), self.money(minor), self.money(0));
        self.fact(Stage::Accepted, DisputeCommand::Open(Some(all)));
        self.fact(Stage::Accepted, Command::BookDispute(taken));
        if fate % 4 == 1 {
            let said = if fate.is_multiple_of(3) {
                DisputeEnd::Prevented
            } else {
                DisputeEnd::Lost
            };
            self.tell(When::With(1), end(said, all));
            if fate % 8 == 5 {
                self.turned_round(minor);
            }
        } else {
            self.fact(Stage::Accepted, Command::BookDispute(given));
            self.tell(When::With(2), end(DisputeEnd::Won, nothing));
        }
    }

    /// Turns a lost dispute round (won after all), and round again.
    fn turned_round(&mut self, minor: i64) {
        let dispute = self.current;
        for (flow, minor) in [(Flow::DisputeReturn, minor), (Flow::DisputeLoss, -minor)] {
            self.begin(flow, minor.abs(), Some(dispute));
            let late = entry(&self.movement("late"), self.money(minor), self.money(0));
            self.fact(Stage::Accepted, Command::BookDispute(late));
        }
    }
}
