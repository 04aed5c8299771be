//! Deposit: pending → the payment intent exists (processing) → Stripe has the money → credited, completed.
//!
//! A failed payment attempt is not the end of a deposit that the payer's client confirms (the payer may try again);
//! a cancelled intent is. What is credited is what Stripe received, in Stripe's currency, for an intent that is ours;
//! anything else goes to suspense and waits for a person.

use serde_json::json;

use super::decide::{Changes, Decided, Decision, foreign, step};
use super::{Command, Event, Stage};
use crate::ledger::{Account, Books, Leg, PlatformAccount};
use crate::money::Money;
use crate::transactions::{TimelineKind, Transaction, external_ref};

const CLEARING: Account = Account::Platform(PlatformAccount::StripeClearing);
const SUSPENSE: Account = Account::Platform(PlatformAccount::PlatformSuspense);

pub(super) fn decide(transaction: &Transaction, _books: &Books, command: &Command) -> Decided {
    match command {
        Command::RecordIntent {
            intent,
            sealed_client_secret,
            message,
        } => {
            check_intent(transaction, intent)?;
            let Some(stage) = step(transaction, Event::IntentCreated)? else {
                return Ok(None);
            };
            let changes = Changes {
                payment_intent: Some(intent.clone()),
                sealed_client_secret: sealed_client_secret.clone(),
                ..Changes::default()
            };
            Ok(Some(
                Decision::to(stage)
                    .changes(changes)
                    .refers(external_ref::PAYMENT_INTENT, intent)
                    .says_with(
                        TimelineKind::StripeAnswer,
                        message.clone(),
                        json!({ "paymentIntent": intent }),
                    ),
            ))
        }
        Command::SettlePayment { intent, received } => {
            check_intent(transaction, intent)?;
            if *received == transaction.amount {
                Ok(step(transaction, Event::PaymentSucceeded)?
                    .map(|stage| credit(transaction, stage, intent, *received)))
            } else {
                Ok(step(transaction, Event::PaymentMismatched)?
                    .map(|stage| suspend(transaction, stage, intent, *received)))
            }
        }
        Command::CancelIntent { intent, reason } => {
            check_intent(transaction, intent)?;
            Ok(step(transaction, Event::IntentCanceled)?.map(|stage| {
                let changes = Changes {
                    failure_reason: Some(reason.to_string()),
                    ..intent_change(transaction, intent)
                };
                known_intent(transaction, Decision::to(stage), intent)
                    .changes(changes)
                    .says(TimelineKind::Cancelled, reason.sentence.clone())
            }))
        }
        Command::Refuse(reason) => Ok(step(transaction, Event::Refused)?.map(|_| Decision::failed(reason))),
        other => foreign(other),
    }
}

fn credit(transaction: &Transaction, stage: Stage, intent: &str, received: Money) -> Decision {
    known_intent(transaction, Decision::to(stage), intent)
        .changes(intent_change(transaction, intent))
        .legs(Leg::pair(
            CLEARING,
            Account::Available(transaction.wallet_id),
            received,
        ))
        .says_with(
            TimelineKind::Completed,
            format!("{received} received and credited"),
            json!({ "paymentIntent": intent }),
        )
}

fn suspend(transaction: &Transaction, stage: Stage, intent: &str, received: Money) -> Decision {
    let message = format!(
        "{received} received instead of {}; support has been told and will decide",
        transaction.amount
    );
    let mut decision = known_intent(transaction, Decision::to(stage), intent)
        .changes(intent_change(transaction, intent))
        .legs(Leg::pair(CLEARING, SUSPENSE, received))
        .says_with(
            TimelineKind::NeedsReview,
            message.clone(),
            json!({ "paymentIntent": intent }),
        );
    decision.alarms.push(("payment_mismatch", message));
    decision
}

/// Another intent than the one recorded is never this deposit's, whatever its metadata says.
fn check_intent(transaction: &Transaction, intent: &str) -> Result<(), String> {
    match &transaction.stripe_payment_intent_id {
        Some(known) if known != intent => Err(format!("intent {intent} is not the recorded {known}")),
        _ => Ok(()),
    }
}

fn intent_change(transaction: &Transaction, intent: &str) -> Changes {
    let new = transaction
        .stripe_payment_intent_id
        .is_none()
        .then(|| intent.to_owned());
    Changes {
        payment_intent: new,
        ..Changes::default()
    }
}

fn known_intent(transaction: &Transaction, decision: Decision, intent: &str) -> Decision {
    if transaction.stripe_payment_intent_id.is_none() {
        decision.refers(external_ref::PAYMENT_INTENT, intent)
    } else {
        decision
    }
}
