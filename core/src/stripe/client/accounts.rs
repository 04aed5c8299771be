//! Connected accounts.

use std::collections::HashMap;

use stripe_connect::account::{
    self, CreateAccountCapabilities, CreateAccountCapabilitiesCardPayments,
    CreateAccountCapabilitiesTransfers, CreateAccountSettings, CreateAccountSettingsPayouts,
    CreateAccountSettingsPayoutsSchedule, CreateAccountSettingsPayoutsScheduleInterval, CreateAccountType,
    RetrieveAccount, RetrieveForMyAccountAccount, TosAcceptanceSpecs, UpdateAccount, UpdateAccountSettings,
    UpdateAccountSettingsPayouts, UpdateAccountSettingsPayoutsSchedule,
    UpdateAccountSettingsPayoutsScheduleInterval,
};
use stripe_connect::account_link::{self, CreateAccountLinkType};

use super::StripeClient;
use super::convert::{self, one, wire_currency};
use super::wire::Outgoing;
use crate::ids::stripe::AccountId;
use crate::stripe::account_terms::Terms;
use crate::stripe::errors::StripeError;
use crate::stripe::params::{CreateAccount, CreateAccountLink};
use crate::stripe::ticket::Ticket;
use crate::stripe::types::{Account, AccountLink};

impl StripeClient {
    /// Makes a connected account that can receive transfers once its owner has completed it, and that pays out only on our request.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn create_account(
        &self,
        ticket: &Ticket,
        params: &CreateAccount,
    ) -> Result<Account, StripeError> {
        self.once("create_account", async {
            let answer = Outgoing::of(&creation(params)).under(ticket).send(self).await?;
            one(convert::account(answer))
        })
        .await
    }

    /// Returns a connected account as it is now. For the platform's own id Stripe returns the platform's account.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn retrieve_account(&self, id: &AccountId) -> Result<Account, StripeError> {
        self.twice("retrieve_account", || async {
            let request = RetrieveAccount::new(id.as_str());
            let answer = Outgoing::of(&request).about(id).send(self).await?;
            one(convert::account(answer))
        })
        .await
    }

    /// Returns the platform's own account, to which the key belongs.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn retrieve_own_account(&self) -> Result<Account, StripeError> {
        self.twice("retrieve_own_account", || async {
            let answer = Outgoing::of(&RetrieveForMyAccountAccount::new())
                .send(self)
                .await?;
            one(convert::account(answer))
        })
        .await
    }

    /// Stops Stripe from paying out a connected account by itself. Repeating this is harmless.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn set_manual_payouts(&self, id: &AccountId) -> Result<Account, StripeError> {
        self.twice("set_manual_payouts", || async {
            let request = UpdateAccount::new(id.as_str()).settings(UpdateAccountSettings {
                payouts: Some(UpdateAccountSettingsPayouts {
                    schedule: Some(UpdateAccountSettingsPayoutsSchedule {
                        interval: Some(UpdateAccountSettingsPayoutsScheduleInterval::Manual),
                        ..UpdateAccountSettingsPayoutsSchedule::new()
                    }),
                    ..UpdateAccountSettingsPayouts::new()
                }),
                ..UpdateAccountSettings::new()
            });
            let answer = Outgoing::of(&request).about(id).send(self).await?;
            one(convert::account(answer))
        })
        .await
    }

    /// Creates a page on which its owner completes a connected account. Each call creates another page; older pages continue to work.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn create_account_link(&self, params: &CreateAccountLink) -> Result<AccountLink, StripeError> {
        self.once("create_account_link", async {
            let request = account_link::CreateAccountLink::new(
                params.account.as_str(),
                CreateAccountLinkType::AccountOnboarding,
            )
            .return_url(params.return_url.as_str())
            .refresh_url(params.refresh_url.as_str());
            let answer = Outgoing::of(&request).about(&params.account).send(self).await?;
            one(convert::account_link(answer))
        })
        .await
    }
}

fn creation(params: &CreateAccount) -> account::CreateAccount {
    let mut capabilities = CreateAccountCapabilities {
        transfers: Some(CreateAccountCapabilitiesTransfers {
            requested: Some(true),
        }),
        ..CreateAccountCapabilities::new()
    };
    let mut request = account::CreateAccount::new();
    if let Some(opening) = &params.opening {
        request = request.country(opening.country.code());
        match opening.terms {
            Terms::Payee => {}
            Terms::Merchant => {
                capabilities.card_payments = Some(CreateAccountCapabilitiesCardPayments {
                    requested: Some(true),
                });
            }
            Terms::Recipient => {
                request = request.tos_acceptance(TosAcceptanceSpecs {
                    service_agreement: Some("recipient".to_owned()),
                    ..TosAcceptanceSpecs::new()
                });
            }
        }
    }
    request
        .type_(CreateAccountType::Express)
        .default_currency(wire_currency(params.currency))
        .capabilities(capabilities)
        .settings(CreateAccountSettings {
            payouts: Some(CreateAccountSettingsPayouts {
                schedule: Some(CreateAccountSettingsPayoutsSchedule {
                    interval: Some(CreateAccountSettingsPayoutsScheduleInterval::Manual),
                    ..CreateAccountSettingsPayoutsSchedule::new()
                }),
                ..CreateAccountSettingsPayouts::new()
            }),
            ..CreateAccountSettings::new()
        })
        .metadata(HashMap::from([(
            "user_id".to_owned(),
            params.user_id.to_string(),
        )]))
}

#[cfg(test)]
mod tests {
    use stripe::StripeRequest;

    use super::*;
    use crate::money::Currency;
    use crate::stripe::account_terms::Opening;

    /// Returns the sorted pairs of the request for an account with this opening.
    fn pairs(opening: Option<Opening>) -> Vec<String> {
        let params = CreateAccount {
            user_id: "018f2f5e-7b3c-7000-8000-000000000003".parse().unwrap(),
            currency: Currency::EUR,
            opening,
        };
        let body = creation(&params).build().body.unwrap();
        let body = body.replace("%5B", "[").replace("%5D", "]");
        let mut pairs: Vec<String> = body.split('&').map(ToOwned::to_owned).collect();
        pairs.sort_unstable();
        pairs
    }

    #[test]
    fn an_account_is_express_receives_transfers_and_never_pays_out_by_itself() {
        assert_eq!(
            pairs(None),
            [
                "capabilities[transfers][requested]=true",
                "default_currency=eur",
                "metadata[user_id]=018f2f5e-7b3c-7000-8000-000000000003",
                "settings[payouts][schedule][interval]=manual",
                "type=express",
            ]
        );
    }

    /// <https://docs.stripe.com/connect/service-agreement-types>
    #[test]
    fn an_account_says_its_country_and_agrees_to_what_stripe_demands_there() {
        let more = |platform: &str, payee: &str| {
            let opening = Opening::of(&platform.parse().unwrap(), payee.parse().unwrap());
            let usual = pairs(None);
            let mut more = pairs(Some(opening));
            more.retain(|pair| !usual.contains(pair));
            more
        };
        assert_eq!(more("US", "US"), ["country=US"]);
        assert_eq!(
            more("US", "SG"),
            ["country=SG", "tos_acceptance[service_agreement]=recipient"]
        );
        assert_eq!(
            more("DE", "FR"),
            ["capabilities[card_payments][requested]=true", "country=FR"]
        );
    }
}
