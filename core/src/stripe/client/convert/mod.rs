//! Converts the library's objects into ours.

mod balance;
mod next_action;
mod refunds;

use std::collections::HashMap;
use std::str::FromStr;

use chrono::{DateTime, Utc};

pub(super) use balance::{balance, balance_transaction, charge};
pub(super) use refunds::{dispute, refund};

use super::failure::unreadable;
use super::transfers::WireReversal;
use crate::money::{Currency, Money};
use crate::stripe::errors::{ErrorClass, StripeError};
use crate::stripe::params::Tags;
use crate::stripe::status::ReversalStatus;
use crate::stripe::types::{
    Account, AccountLink, ClientSecret, Customer, Decline, Metadata, PaymentIntent, Payout, Reversal,
    Transfer,
};

/// Why an object of Stripe's cannot be converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Made by others who share our account, as its currency is one we never use; or a movement beside the balance.
    Foreign,
    /// It does not have the shape that its type promises.
    Malformed,
}

/// Parses a status or another word of Stripe's. The enums keep unknown words, so this fails for none of them.
fn word<W: FromStr>(word: &str) -> Result<W, Unfit> {
    word.parse().map_err(|_| Unfit::Malformed)
}

/// Returns the single object of an answer.
pub(super) fn one<T>(converted: Result<T, Unfit>) -> Result<T, StripeError> {
    converted.map_err(|unfit| match unfit {
        Unfit::Foreign => StripeError::new(ErrorClass::Foreign),
        Unfit::Malformed => unreadable("a part of it is not as its type promises"),
    })
}

/// Returns the object that a call made, if it is what the call asked for. A different object means that the answer, or the key, belongs to another
/// request: nothing may be settled by it, and an operator must decide.
pub(super) fn asked_for<T>(object: T, fits: impl FnOnce(&T) -> bool) -> Result<T, StripeError> {
    if fits(&object) {
        return Ok(object);
    }
    Err(StripeError {
        code: Some("answer_of_another_request".to_owned()),
        ..StripeError::new(ErrorClass::Misuse)
    })
}

/// Converts the objects of a page and leaves out those that cannot be ours.
pub(super) fn ours<S, T>(
    page: Vec<S>,
    convert: impl Fn(S) -> Result<T, Unfit>,
) -> Result<Vec<T>, StripeError> {
    page.into_iter()
        .filter_map(|object| match convert(object) {
            Ok(object) => Some(Ok(object)),
            Err(Unfit::Foreign) => None,
            Err(Unfit::Malformed) => Some(Err(unreadable("one of a list is not as its type promises"))),
        })
        .collect()
}

/// Converts a currency into the library's.
pub(super) fn wire_currency(currency: Currency) -> stripe_types::Currency {
    let Ok(currency) = currency.code().parse();
    currency
}

/// Converts an amount into the library's minor units.
pub(super) fn wire_amount(money: Money) -> Result<i64, StripeError> {
    money
        .minor()
        .map_err(|_| StripeError::refused_here("amount_too_large", "the amount is too large"))
}

/// Returns the `metadata` for an object that is made for a transaction.
pub(super) fn wire_tags(tags: Tags) -> HashMap<String, String> {
    HashMap::from([
        ("transaction_id".to_owned(), tags.transaction_id.to_string()),
        ("wallet_id".to_owned(), tags.wallet_id.to_string()),
    ])
}

pub(super) fn customer(customer: stripe_shared::Customer) -> Result<Customer, Unfit> {
    Ok(Customer {
        id: id(customer.id.as_str())?,
        metadata: metadata(customer.metadata.as_ref()),
    })
}

pub(super) fn payment_intent(intent: stripe_shared::PaymentIntent) -> Result<PaymentIntent, Unfit> {
    let last_payment_error = intent.last_payment_error.map(|error| Decline {
        code: error.code.map(|code| code.as_str().to_owned()),
        decline_code: error.decline_code,
        message: error.message,
    });
    Ok(PaymentIntent {
        id: id(intent.id.as_str())?,
        status: word(intent.status.as_str())?,
        cancellation_reason: intent
            .cancellation_reason
            .map(|reason| word(reason.as_str()))
            .transpose()?,
        amount: money(intent.amount, &intent.currency)?,
        amount_received: money(intent.amount_received, &intent.currency)?,
        client_secret: intent.client_secret.map(ClientSecret::new),
        customer: intent
            .customer
            .and_then(|customer| customer.id().as_str().parse().ok()),
        latest_charge: intent
            .latest_charge
            .and_then(|charge| charge.id().as_str().parse().ok()),
        last_payment_error,
        next_action: intent.next_action.as_ref().map(next_action::next_action),
        metadata: Metadata::from_map(&intent.metadata),
        created: time(intent.created)?,
    })
}

pub(super) fn account(account: stripe_shared::Account) -> Result<Account, Unfit> {
    let metadata = metadata(account.metadata.as_ref());
    let (disabled_reason, mut requirements_due, past_due) = match account.requirements {
        None => (None, Vec::new(), Vec::new()),
        Some(requirements) => (
            requirements
                .disabled_reason
                .map(|reason| reason.as_str().to_owned()),
            requirements.currently_due.unwrap_or_default(),
            requirements.past_due.unwrap_or_default(),
        ),
    };
    requirements_due.extend(past_due);
    requirements_due.sort_unstable();
    requirements_due.dedup();
    let bank_currencies = account
        .external_accounts
        .filter(|banks| !banks.has_more)
        .map(bank_currencies);
    Ok(Account {
        id: id(account.id.as_str())?,
        country: account.country,
        default_currency: account
            .default_currency
            .and_then(|currency| currency.to_string().parse().ok()),
        bank_currencies,
        payouts_enabled: account.payouts_enabled.unwrap_or(false),
        details_submitted: account.details_submitted.unwrap_or(false),
        payout_interval: account
            .settings
            .and_then(|settings| settings.payouts)
            .map(|payouts| payouts.schedule.interval),
        metadata,
        disabled_reason,
        requirements_due,
    })
}

/// Returns each currency once, leaving out those that we never use.
fn bank_currencies(banks: stripe_types::List<stripe_shared::ExternalAccount>) -> Vec<Currency> {
    let mut currencies: Vec<Currency> = banks
        .data
        .into_iter()
        .filter_map(|bank| match bank {
            stripe_shared::ExternalAccount::BankAccount(bank) => Some(bank.currency),
            stripe_shared::ExternalAccount::Card(card) => card.currency,
        })
        .filter_map(|currency| currency.to_string().parse().ok())
        .collect();
    currencies.sort_unstable();
    currencies.dedup();
    currencies
}

pub(super) fn account_link(link: stripe_connect::AccountLink) -> Result<AccountLink, Unfit> {
    Ok(AccountLink {
        url: link.url,
        expires_at: time(link.expires_at)?,
    })
}

pub(super) fn transfer(transfer: stripe_shared::Transfer) -> Result<Transfer, Unfit> {
    Ok(Transfer {
        id: id(transfer.id.as_str())?,
        amount: money(transfer.amount, &transfer.currency)?,
        amount_reversed: money(transfer.amount_reversed, &transfer.currency)?,
        destination: transfer
            .destination
            .and_then(|account| account.id().as_str().parse().ok()),
        metadata: Metadata::from_map(&transfer.metadata),
        created: time(transfer.created)?,
    })
}

pub(super) fn reversal(reversal: WireReversal) -> Result<Reversal, Unfit> {
    let status = reversal.status.as_deref();
    Ok(Reversal {
        id: id(reversal.id.as_str())?,
        transfer: id(&reversal.transfer)?,
        status: status.map_or(Ok(ReversalStatus::Succeeded), word)?,
        amount: money(reversal.amount, &reversal.currency)?,
        metadata: metadata(reversal.metadata.as_ref()),
        created: time(reversal.created)?,
    })
}

pub(super) fn payout(payout: stripe_shared::Payout) -> Result<Payout, Unfit> {
    Ok(Payout {
        id: id(payout.id.as_str())?,
        status: word(&payout.status)?,
        amount: money(payout.amount, &payout.currency)?,
        automatic: payout.automatic,
        metadata: metadata(payout.metadata.as_ref()),
        failure_code: payout.failure_code,
        failure_message: payout.failure_message,
        failure_balance_transaction: payout
            .failure_balance_transaction
            .and_then(|entry| entry.id().as_str().parse().ok()),
        arrival_date: time(payout.arrival_date).ok(),
        destination: payout
            .destination
            .and_then(|account| account.id().as_str().parse().ok()),
        created: time(payout.created)?,
    })
}

fn id<T: std::str::FromStr>(text: &str) -> Result<T, Unfit> {
    text.parse().map_err(|_| Unfit::Malformed)
}

fn money(minor: i64, currency: &stripe_types::Currency) -> Result<Money, Unfit> {
    let currency: Currency = currency.to_string().parse().map_err(|_| Unfit::Foreign)?;
    Money::from_minor(minor, currency).map_err(|_| Unfit::Malformed)
}

fn time(seconds: i64) -> Result<DateTime<Utc>, Unfit> {
    DateTime::from_timestamp(seconds, 0).ok_or(Unfit::Malformed)
}

fn metadata(map: Option<&HashMap<String, String>>) -> Metadata {
    map.map(Metadata::from_map).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stripe::errors::Disposition;

    #[test]
    fn an_answer_that_is_not_what_was_asked_for_settles_nothing_and_calls_a_person() {
        assert_eq!(asked_for(1_000, |made| *made == 1_000).unwrap(), 1_000);
        let refused = asked_for(1, |made| *made == 1_000).unwrap_err();
        assert_eq!(refused.disposition(), Disposition::NeedsReview);
    }

    #[test]
    fn every_currency_of_ours_is_one_of_the_library_and_comes_back() {
        for currency in Currency::all() {
            let wire = wire_currency(*currency);
            assert!(!matches!(wire, stripe_types::Currency::Unknown(_)), "{currency}");
            assert_eq!(
                money(100, &wire).unwrap(),
                Money::from_minor(100, *currency).unwrap()
            );
        }
    }

    #[test]
    fn an_object_in_a_currency_we_never_use_is_left_out_of_lists_and_a_malformed_one_is_not() {
        let convert = |code: &str| money(1, &code.parse().unwrap());
        assert_eq!(ours(vec!["usd", "kwd", "tomorrow"], convert).unwrap().len(), 1);
        assert!(ours(vec![1_i64], |_| Err::<(), _>(Unfit::Malformed)).is_err());
        assert_eq!(one(convert("kwd")).unwrap_err().class, ErrorClass::Foreign);
        let malformed = one(Err::<(), _>(Unfit::Malformed)).unwrap_err();
        assert_eq!(malformed.class, ErrorClass::Unreadable);
    }
}
