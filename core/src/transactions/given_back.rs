//! What of a transaction was given back, and what is left: one rule for acceptance and settlement.

use super::Transaction;
use crate::flows::{Flow, Stage};
use crate::ids::TransactionId;
use crate::money::{Money, MoneyError};

/// Whether refunds that were accepted, and hold nothing yet, count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requests {
    /// They do: whoever asks is told at once what will not be granted.
    Counted,
    /// They do not: the first that is settled is granted.
    Ignored,
}

/// What of `original` is not given back yet. `relatives` are those that relate to it, and those that relate to them; others are left out.
///
/// # Errors
/// When one is in another currency.
pub fn left_of<'a>(
    original: &Transaction,
    relatives: impl IntoIterator<Item = &'a Transaction>,
    requests: Requests,
) -> Result<Money, MoneyError> {
    let relatives: Vec<&Transaction> = relatives.into_iter().collect();
    let mut left = original.amount;
    for child in relatives
        .iter()
        .filter(|child| child.related_transaction_id == Some(original.id))
    {
        let given = child.given_back(&relatives, requests)?;
        left = left.checked_sub(given.at_most(left)?)?;
    }
    Ok(left)
}

impl Transaction {
    /// Why `amount` cannot be given back of this, of which `left` is left.
    pub(crate) fn too_much(&self, amount: Money, left: Money) -> String {
        if left == self.amount && amount.amount() > left.amount() {
            format!("{amount} is more than the {} of {left}", self.transaction_type)
        } else {
            format!("only {left} of {} is left to refund", self.amount)
        }
    }

    /// Whether it holds, or has given back, a part of `original`.
    pub(crate) fn gives_back(&self, original: TransactionId, requests: Requests) -> bool {
        let has_a_claim = match self.stage {
            Stage::Failed | Stage::Cancelled => false,
            // An inquiry has taken nothing; a request has a claim once it holds the money.
            Stage::Accepted => self.flow != Flow::Dispute && requests == Requests::Counted,
            _ => true,
        };
        self.related_transaction_id == Some(original) && self.flow.gives_back() && has_a_claim
    }

    /// Whether something can become of it after its end: a refund may come back, a dispute may be turned round.
    pub(crate) fn may_turn(&self) -> bool {
        match self.flow {
            Flow::DepositRefund | Flow::OutsideRefund => self.stage == Stage::Completed,
            Flow::Dispute => self.stage.status().is_final(),
            _ => false,
        }
    }

    /// How much it has given back, less what came back of that, and what more went after its end.
    fn given_back(&self, relatives: &[&Self], requests: Requests) -> Result<Money, MoneyError> {
        let nothing = Money::zero(self.amount.currency());
        let is_given = self
            .related_transaction_id
            .is_some_and(|original| self.gives_back(original, requests));
        let given = if is_given {
            self.claimed.unwrap_or(self.amount)
        } else {
            nothing
        };
        let given = relatives
            .iter()
            .filter(|later| later.related_transaction_id == Some(self.id) && self.may_turn())
            .try_fold(given, |given, later| match later.flow {
                Flow::RefundReturn | Flow::DisputeReturn => given.checked_sub(later.amount),
                Flow::DisputeLoss => given.checked_add(later.amount),
                _ => Ok(given),
            })?;
        Ok(if given.is_negative() { nothing } else { given })
    }
}
