//! What a bank debit moves: pending from the moment it is submitted, until the bank has paid or has not
//! (<https://support.stripe.com/questions/changes-to-balance-transaction-behavior-for-debit-payment-methods>).

use super::super::balance::{Posting, UNTIL_SETTLED, mature, post};
use crate::money::Currency;
use crate::objects::{BalanceTransaction, Charge, Id, TransactionKind};
use crate::state::{State, Timer};

/// The debit is on its way to the bank; gives what that changes the balance by.
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

/// The bank has paid this: the movement of the debit, which becomes available later. Otherwise what taking it back changes the balance by.
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

/// The bank has not paid: gives what that changes the balance by. Nothing was submitted of what is no debit.
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
