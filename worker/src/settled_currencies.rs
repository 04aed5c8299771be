//! The currencies in which the platform is paid.
//!
//! A payment in a currency in which Stripe does not pay the platform is converted when it arrives
//! (<https://docs.stripe.com/currencies/conversions>). A credit in the payment's currency would promise money that is
//! not there: its transfer would always be refused. So unless a currency is known to be settled in itself, Stripe is
//! asked what arrived before anything is credited; what arrived in another currency goes to suspense, in that currency.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use wallet_core::config::SettlementCurrencies;
use wallet_core::money::{Currency, Money};
use wallet_core::stripe::{Account, Balance};

/// What this process knows about the platform's settlement currencies.
#[derive(Debug)]
pub(crate) struct SettledCurrencies {
    configured: SettlementCurrencies,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The currencies that Stripe names, or in which a payment arrived unconverted.
    settled: BTreeSet<Currency>,
    /// The currencies in which a payment was converted, whatever Stripe says.
    converted: BTreeSet<Currency>,
}

impl SettledCurrencies {
    pub(crate) fn new(configured: SettlementCurrencies) -> Self {
        Self {
            configured,
            seen: Mutex::default(),
        }
    }

    /// Whether payments in `currency` are known to arrive unconverted.
    pub(crate) fn is_known(&self, currency: Currency) -> bool {
        self.with(|seen| seen.settled.contains(&currency) && !seen.converted.contains(&currency))
    }

    /// Records what a payment of `paid` added to the platform's balance.
    pub(crate) fn learn(&self, paid: Money, came: Money) {
        let currency = paid.currency();
        self.with(|seen| {
            if came.currency() == currency {
                seen.settled.insert(currency);
                seen.converted.remove(&currency);
            } else {
                seen.converted.insert(currency);
            }
        });
    }

    /// Records the currencies that Stripe shows for the platform's account: the default currency, those of the bank
    /// accounts, and those in which the account holds a balance. Returns the configured currencies that are not among them.
    pub(crate) fn confirm(&self, platform: &Account, balance: Option<&Balance>) -> Vec<Currency> {
        let banks = platform.bank_currencies.iter().flatten().copied();
        let held = balance.into_iter().flat_map(Balance::all);
        let said: BTreeSet<Currency> = platform
            .default_currency
            .into_iter()
            .chain(banks)
            .chain(held.map(|amount| amount.currency()))
            .collect();
        let missing = self
            .configured
            .named()
            .filter(|currency| !said.contains(currency));
        let missing = missing.collect();
        self.with(|seen| seen.settled.extend(said));
        missing
    }

    fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(currency: Currency) -> Money {
        Money::from_minor(1_000, currency).unwrap()
    }

    #[test]
    fn a_currency_is_known_by_what_payments_in_it_have_done_and_no_longer_when_one_was_converted() {
        let settled = SettledCurrencies::new(SettlementCurrencies::default());
        let (usd, eur) = (money(Currency::USD), money(Currency::EUR));
        assert!(!settled.is_known(Currency::EUR));
        settled.learn(eur, eur);
        assert!(settled.is_known(Currency::EUR) && !settled.is_known(Currency::USD));
        settled.learn(eur, usd);
        assert!(!settled.is_known(Currency::EUR), "the account has changed");
        settled.learn(eur, eur);
        assert!(settled.is_known(Currency::EUR), "and back");
    }
}
