//! The movements of a bank debit, which are pending from its submission until the bank has paid or refused
//! (<https://support.stripe.com/questions/changes-to-balance-transaction-behavior-for-debit-payment-methods>).

use super::super::balance::{Posting, UNTIL_SETTLED, mature, post};
use crate::money::Currency;
use crate::objects::{BalanceTransaction, Charge, Id, TransactionKind};
use crate::state::{State, Timer};

/// Records that the debit was submitted to the bank; returns the balance's change.
pub(super) fn submitted(state: &mut State, id: &Id<Charge>) -> i64 {
    let Some(charge) = state.charges.get(id.as_str()).cloned() else {
        return 0;
    };
    let fee = state.settings.fee(charge.amount);
    let posting = Posting {
        owner: &charge.owner,
        kind: TransactionKind::Payment,
        amount: charge.amount,
        fee,
        currency: charge.currency,
        source: id.as_str(),
        description: charge.description.clone(),
        pending_ms: UNTIL_SETTLED,
    };
    let transaction = post(state, posting);
    state.change(id, |row| row.balance_transaction = Some(transaction));
    charge.amount - fee
}

/// Returns the debit's movement if the bank paid exactly that, which becomes available later; otherwise the change from reversing it, if any.
pub(super) fn succeeded(
    state: &mut State,
    id: &Id<Charge>,
    amount: i64,
    currency: Currency,
) -> Result<Id<BalanceTransaction>, i64> {
    let Some(charge) = state.charges.get(id.as_str()) else {
        return Err(0);
    };
    let Some(submitted) = charge.balance_transaction.clone() else {
        return Err(0);
    };
    if (charge.amount, charge.currency) != (amount, currency) {
        return Err(taken_back(state, id));
    }
    match state.settings.bank_pending_ms {
        0 => mature(state, &submitted),
        later => state.plan(later, Timer::Mature(submitted.clone())),
    }
    Ok(submitted)
}

/// Reverses the debit that the bank has not paid; returns the balance's change, which is zero for a charge that is no debit.
pub(super) fn taken_back(state: &mut State, id: &Id<Charge>) -> i64 {
    let Some(charge) = state.charges.get(id.as_str()).cloned() else {
        return 0;
    };
    let Some(submitted) = charge.balance_transaction else {
        return 0;
    };
    let fee = state.settings.fee(charge.amount);
    let posting = Posting {
        owner: &charge.owner,
        kind: TransactionKind::PaymentFailureRefund,
        amount: -charge.amount,
        fee: -fee,
        currency: charge.currency,
        source: id.as_str(),
        description: charge.description.clone(),
        pending_ms: UNTIL_SETTLED,
    };
    let back = post(state, posting);
    mature(state, &back);
    mature(state, &submitted);
    fee - charge.amount
}
