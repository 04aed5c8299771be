//! Connected accounts, and the pages on which their people complete them.

use std::fmt;

use chrono::{DateTime, Utc};

use super::Metadata;
use crate::ids::stripe::AccountId;
use crate::money::Currency;

/// A connected account.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Whether Stripe pays it out.
    pub payouts_enabled: bool,
    /// Whether its person has told Stripe everything that onboarding asks.
    pub details_submitted: bool,
    /// How often Stripe pays it out by itself, `settings.payouts.schedule.interval`: `manual` means never; any other word races
    /// our payouts for the same money.
    pub payout_interval: Option<String>,
    /// Two letters, such as `US`.
    pub country: Option<String>,
    /// What its money is converted to when there is no bank account for its currency; none for a currency that we never use.
    pub default_currency: Option<Currency>,
    /// The currencies of its bank accounts and debit cards, in which it can be paid out; none when Stripe does not show all of them, which it
    /// does for accounts that the platform controls (<https://docs.stripe.com/api/accounts/object#account_object-external_accounts>).
    pub bank_currencies: Option<Vec<Currency>>,
    /// Carries `user_id`: a withdrawal to an account of another person is refused.
    pub metadata: Metadata,
    /// Why Stripe holds it back, if it does.
    pub disabled_reason: Option<String>,
    /// What Stripe wants to know now or already wanted to know, by field name.
    pub requirements_due: Vec<String>,
}

/// A page of Stripe's on which a person completes a connected account; it serves once and for minutes.
#[derive(Clone)]
pub struct AccountLink {
    /// Where the person goes. Whoever has it is logged in as that person: it is shown to nobody else and never logged.
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
