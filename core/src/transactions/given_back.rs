//! How much of a transaction was given back, and how much is left: one rule for acceptance and settlement.

use super::{Flow, Stage, Transaction};
use crate::ids::TransactionId;
use crate::money::{Money, MoneyError};

/// Whether refunds that were accepted but hold nothing yet count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requests {
    /// They count: a request that cannot be granted is refused at once.
    Counted,
    /// They do not count: the first that is settled is granted.
    Ignored,
}

/// Returns how much of `original` is not given back yet. `relatives` are those that relate to it, and those that relate to them; others are ignored.
///
/// # Errors
/// If one of them is in another currency.
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
    // The net of what its dispute moved after the deposit was credited from review: such a dispute has no transaction of its own.
    let turns = relatives
        .iter()
        .copied()
        .filter(|later| later.flow.is_dispute_turn());
    let gone = gone_later(original.id, turns, Money::zero(left.currency()))?;
    left.checked_sub(gone.at_most(left)?)
}

/// How much of a transaction is gone, if `given` was gone when it ended and money came back or went later; never negative.
fn gone_later<'a>(
    ended: TransactionId,
    later: impl IntoIterator<Item = &'a Transaction>,
    given: Money,
) -> Result<Money, MoneyError> {
    let gone = later
        .into_iter()
        .filter(|later| later.related_transaction_id == Some(ended))
        .try_fold(given, |gone, later| match later.flow {
            Flow::RefundReturn | Flow::DisputeReturn => gone.checked_sub(later.amount),
            Flow::DisputeLoss => gone.checked_add(later.amount),
            _ => Ok(gone),
        })?;
    Ok(if gone.is_negative() {
        Money::zero(gone.currency())
    } else {
        gone
    })
}

impl Transaction {
    /// Returns the sentence that says why `amount` cannot be refunded when only `left` is left.
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

    /// Whether money can move for it after its end: a refund may come back, a dispute may be reversed.
    pub(crate) fn may_turn(&self) -> bool {
        match self.flow {
            Flow::DepositRefund | Flow::OutsideRefund => self.stage == Stage::Completed,
            Flow::Dispute => self.stage.status().is_final(),
            _ => false,
        }
    }

    /// How much it has given back, less what came back of that, plus what else went after its end.
    fn given_back(&self, relatives: &[&Self], requests: Requests) -> Result<Money, MoneyError> {
        let is_given = self
            .related_transaction_id
            .is_some_and(|original| self.gives_back(original, requests));
        let given = if is_given {
            self.claimed.unwrap_or(self.amount)
        } else {
            Money::zero(self.amount.currency())
        };
        let later = relatives.iter().copied().filter(|_| self.may_turn());
        gone_later(self.id, later, given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::testing::{at, transaction, usd};

    fn related(n: u128, flow: Flow, minor: i64, to: &Transaction) -> Transaction {
        let mut one = at(Stage::Completed, transaction(n, flow, usd(minor)));
        one.related_transaction_id = Some(to.id);
        one
    }

    /// 60.00 were credited from review, after a dispute had taken the rest of the payment.
    #[test]
    fn what_a_dispute_moves_after_the_review_of_its_deposit_counts_all_together() {
        let deposit = at(Stage::Completed, transaction(1, Flow::Deposit, usd(6_000)));
        let came = |n, minor| related(n, Flow::DisputeReturn, minor, &deposit);
        let went = |n, minor| related(n, Flow::DisputeLoss, minor, &deposit);
        for (moved, left) in [
            (vec![], 6_000),
            (vec![came(2, 4_000)], 6_000),
            (vec![came(2, 4_000), went(3, 4_000)], 6_000),
            (vec![came(2, 4_300), went(3, 300)], 6_000),
            (vec![went(2, 6_000)], 0),
            (vec![went(2, 6_000), came(3, 6_000)], 6_000),
            (
                vec![went(2, 1_000), related(3, Flow::DepositRefund, 2_000, &deposit)],
                3_000,
            ),
            (vec![went(2, 9_000)], 0),
        ] {
            for requests in [Requests::Counted, Requests::Ignored] {
                let found = left_of(&deposit, &moved, requests).unwrap();
                assert_eq!(found, usd(left), "{moved:?}");
            }
        }
    }

    #[test]
    fn what_moves_after_the_end_of_a_dispute_counts_with_the_dispute_alone() {
        let deposit = at(Stage::Completed, transaction(1, Flow::Deposit, usd(6_000)));
        let dispute = related(2, Flow::Dispute, 4_000, &deposit);
        let came = related(3, Flow::DisputeReturn, 4_000, &dispute);
        let went = related(4, Flow::DisputeLoss, 500, &dispute);
        for (later, left) in [
            (vec![], 2_000),
            (vec![came.clone()], 6_000),
            (vec![came, went], 5_500),
        ] {
            let relatives = std::iter::once(&dispute).chain(&later);
            assert_eq!(
                left_of(&deposit, relatives, Requests::Counted).unwrap(),
                usd(left)
            );
        }
    }
}
