//! The mutation `onboardPayouts`.

use std::sync::Arc;

use async_graphql::{Context, InputObject, Object, SimpleObject};
use wallet_core::accept::{OnboardInput, Onboarding};

use super::Call;
use super::call::within;
use crate::errors::ApiError;

/// The addresses to which Stripe's page leads back: https, or http on localhost with a test key.
#[derive(InputObject)]
pub(crate) struct OnboardPayoutsInput {
    /// Where the person returns to, whether or not everything was completed.
    return_url: String,
    /// Where the person is sent if the page's link was used or is too old; that page should request another one.
    refresh_url: String,
    /// The country in which the person lives, two letters such as SG, if it is not the platform's. It counts when the account is opened and
    /// cannot be changed later.
    country: Option<String>,
}

/// A connected account at Stripe and the page on which its owner completes it.
#[derive(SimpleObject)]
pub(crate) struct PayoutOnboarding {
    /// The account that receives withdrawals.
    stripe_account_id: String,
    /// Stripe's page, for this person alone: its link works once, and for minutes.
    url: String,
    /// Whether Stripe has enabled payouts for the account.
    payouts_enabled: bool,
}

impl From<Onboarding> for PayoutOnboarding {
    fn from(onboarding: Onboarding) -> Self {
        Self {
            stripe_account_id: onboarding.account.as_str().to_owned(),
            url: onboarding.url,
            payouts_enabled: onboarding.payouts_enabled,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct OnboardPayouts;

#[Object]
impl OnboardPayouts {
    /// Opens the account at Stripe that the caller's wallets pay out to, unless it exists, and returns a page on which to complete it.
    /// Withdrawals are open once Stripe says so. Repeating the request is harmless: it returns another page for the same account.
    async fn onboard_payouts(
        &self,
        ctx: &Context<'_>,
        wallet_id: String,
        input: OnboardPayoutsInput,
    ) -> Result<PayoutOnboarding, ApiError> {
        let call = Call::new(ctx, None)?;
        call.take_provider_request().await?;
        let wanted = OnboardInput {
            return_url: input.return_url,
            refresh_url: input.refresh_url,
            country: input.country,
        };
        let app = Arc::clone(&call.app);
        let onboarding = Call::to_its_end(&app, async move {
            Box::pin(call.app.payees.onboard(&call.caller, &wallet_id, &wanted)).await
        });
        Ok(within(onboarding).await?.into())
    }
}
