//! Connected accounts, and the pages on which their owners complete them.

use std::fmt;

use chrono::{DateTime, Utc};

use super::Metadata;
use crate::ids::stripe::AccountId;
use crate::money::Currency;

/// A connected account.
#[derive(Debug, Clone)]
pub struct Account {
    /// The account's id.
    pub id: AccountId,
    /// Whether Stripe makes payouts from it.
    pub payouts_enabled: bool,
    /// Whether its owner has given Stripe everything that onboarding asks for.
    pub details_submitted: bool,
    /// How often Stripe pays it out by itself, `settings.payouts.schedule.interval`: `manual` means never; with any other value Stripe's
    /// payouts compete with ours for the same money.
    pub payout_interval: Option<String>,
    /// The two-letter code of its country, such as `US`.
    pub country: Option<String>,
    /// The currency to which money in a currency without a bank account is converted; `None` if we never use it.
    pub default_currency: Option<Currency>,
    /// The currencies of its bank accounts and debit cards, in which it can be paid out. `None` if Stripe does not return all of them; it does for
    /// accounts that the platform controls (<https://docs.stripe.com/api/accounts/object#account_object-external_accounts>).
    pub bank_currencies: Option<Vec<Currency>>,
    /// Contains `user_id`: a withdrawal to an account of another person is refused.
    pub metadata: Metadata,
    /// Why Stripe has disabled it, if it has.
    pub disabled_reason: Option<String>,
    /// The names of the fields that Stripe requires now or that are overdue.
    pub requirements_due: Vec<String>,
}

/// A page of Stripe's on which a person completes a connected account; it works once and only for minutes.
#[derive(Clone)]
pub struct AccountLink {
    /// The address of the page. It logs its holder in as that person, so it is shown to that person only and never logged.
    pub url: String,
    /// When it stops working.
    pub expires_at: DateTime<Utc>,
}

impl fmt::Debug for AccountLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountLink")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_link_does_not_print_where_it_leads() {
        let link = AccountLink {
            url: "https://connect.stripe.com/setup/e/acct_1/canary".to_owned(),
            expires_at: DateTime::UNIX_EPOCH,
        };
        let shown = format!("{link:?}");
        assert!(!shown.contains("canary") && shown.contains("1970"), "{shown}");
    }
}
