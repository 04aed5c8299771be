//! Money that arrives differently from the intent's request: less, more, or in another currency.

use super::super::Answer;
use super::{create, take, unexpected};
use crate::errors::ApiError;
use crate::money::Currency;
use crate::objects::{IntentStatus, PaymentIntent, Resource};
use crate::state::{Origin, State};

/// The money that arrived.
#[derive(Debug)]
pub(crate) struct Received<'a> {
    /// In minor units of `currency`.
    pub(crate) amount: i64,
    /// The intent's own when absent; otherwise the intent and its charge change to this one.
    pub(crate) currency: Option<Currency>,
    /// The method of payment, if the intent has none yet.
    pub(crate) method: &'a str,
}

/// Ends an intent with what arrived, at a test's request. `amount` stays as requested, `amount_received` is what arrived.
///
/// # Errors
/// When the intent is unknown or has ended, or does not accept the payment method.
pub(crate) fn receive(state: &mut State, id: &str, received: &Received<'_>) -> Answer {
    let intent = state
        .payment_intents
        .get(id)
        .ok_or_else(|| ApiError::not_found(PaymentIntent::NOUN, id))?;
    let (id, owner, status) = (intent.id.clone(), intent.owner.clone(), intent.status);
    let has_method = intent.payment_method.is_some();
    if !status.confirmable() && status != IntentStatus::Processing {
        let message = format!(
            "This PaymentIntent cannot receive money because it has a status of {}.",
            status.name()
        );
        return Err(unexpected(state, &id, message));
    }
    if !has_method {
        let method = create::usable_method(state, &owner, received.method, &id)?;
        state.change(&id, |row| row.payment_method = Some(method));
    }
    if let Some(currency) = received.currency {
        state.change(&id, |row| row.currency = currency);
    }
    take::take_money(state, &Origin::default(), &id, received.amount);
    Ok(state.rendered(&id))
}
