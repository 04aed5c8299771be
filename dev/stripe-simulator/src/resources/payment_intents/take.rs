//! Receives the money of an intent, and opens the dispute that some payment methods cause.

use super::super::balance::{Posting, post};
use super::attempt::{announce, announce_charge, charge, method_of};
use super::{debits, log};
use crate::objects::{
    BankFate, Behaviour, Charge, ChargeStatus, DisputeStatus, Id, IntentStatus, PaymentIntent,
    TransactionKind,
};
use crate::state::{DisputedFunds, Move, NewDispute, Origin, State, Timer};

/// Receives the payer's money: the intent succeeds, and the balance grows by the amount less Stripe's fee.
pub(super) fn take_money(state: &mut State, origin: &Origin, id: &Id<PaymentIntent>, amount: i64) {
    let Some(intent) = state.payment_intents.get(id.as_str()).cloned() else {
        return;
    };
    let behaviour = method_of(state, &intent).map_or(Behaviour::Succeeds, |method| method.behaviour);
    let captured = intent.status == IntentStatus::RequiresCapture;
    let waiting = (captured || intent.status == IntentStatus::Processing)
        .then(|| intent.latest_charge.clone())
        .flatten();
    let Some(charge) = waiting.or_else(|| charge(state, id, ChargeStatus::Succeeded, None)) else {
        return;
    };
    let debit = matches!(behaviour, Behaviour::BankDebit(_));
    let fee = state.settings.fee(amount);
    let (transaction, change) = match debits::succeeded(state, &charge, amount, intent.currency) {
        Ok(submitted) => (submitted, 0),
        // A submitted debit that was paid differently has been reversed first.
        Err(taken_back) => {
            let posting = Posting {
                owner: &intent.owner,
                kind: if debit {
                    TransactionKind::Payment
                } else {
                    TransactionKind::Charge
                },
                amount,
                fee,
                currency: intent.currency,
                source: charge.as_str(),
                description: intent.description.clone(),
                pending_ms: match behaviour {
                    Behaviour::BypassesPending => 0,
                    Behaviour::BankDebit(_) => state.settings.bank_pending_ms,
                    _ => state.settings.card_pending_ms,
                },
            };
            (post(state, posting), taken_back + amount - fee)
        }
    };
    state.change(&charge, |row| {
        row.status = ChargeStatus::Succeeded;
        row.captured = true;
        row.amount = row.amount.max(amount);
        row.amount_captured = amount;
        row.currency = intent.currency;
        row.balance_transaction = Some(transaction);
    });
    state.change(id, |row| {
        row.status = IntentStatus::Succeeded;
        row.amount_received = amount;
        row.amount_capturable = 0;
        row.last_payment_error = None;
        row.next_action = None;
        row.latest_charge = Some(charge.clone());
    });
    log(state, origin, id, "payment_intent.succeed", change);
    announce_charge(
        state,
        origin,
        Some(&charge),
        if captured {
            "charge.captured"
        } else {
            "charge.succeeded"
        },
    );
    announce(state, origin, id, "payment_intent.succeeded");
    dispute(state, &charge, behaviour);
}

/// Disputes a payment whose payment method causes that, after the delay in the settings.
fn dispute(state: &mut State, charge: &Id<Charge>, behaviour: Behaviour) {
    let (reason, status) = match behaviour {
        Behaviour::Disputed(reason) => (reason, DisputeStatus::NeedsResponse),
        Behaviour::Inquired => ("fraudulent", DisputeStatus::WarningNeedsResponse),
        Behaviour::BankDebit(BankFate::Disputed) => ("bank_cannot_process", DisputeStatus::NeedsResponse),
        _ => return,
    };
    let opened = Move::OpenDispute(NewDispute {
        charge: charge.clone(),
        amount: None,
        reason: reason.to_owned(),
        status,
        funds: DisputedFunds::Move,
    });
    match state.settings.dispute_after_ms {
        0 => opened.come_due(state),
        later => state.plan(later, Timer::Ordered(opened)),
    }
}
