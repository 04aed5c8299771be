//! Payment intents.

use chrono::{DateTime, Utc};
use stripe_core::payment_intent::{
    self, CancelPaymentIntent, CancelPaymentIntentCancellationReason,
    CreatePaymentIntentAutomaticPaymentMethods, CreatePaymentIntentAutomaticPaymentMethodsAllowRedirects,
    CreatePaymentIntentOffSession, CreatePaymentIntentPaymentMethodOptions,
    CreatePaymentIntentPaymentMethodOptionsAcssDebit,
    CreatePaymentIntentPaymentMethodOptionsAcssDebitMandateOptions,
    CreatePaymentIntentPaymentMethodOptionsAcssDebitMandateOptionsPaymentSchedule,
    CreatePaymentIntentPaymentMethodOptionsAcssDebitMandateOptionsTransactionType, ListPaymentIntent,
    RetrievePaymentIntent,
};
use stripe_shared::PaymentIntentAllowedPaymentMethodTypes as AllowedMethod;
use stripe_types::RangeQueryTs;

use super::StripeClient;
use super::convert::{self, one, wire_amount, wire_currency, wire_tags};
use super::wire::Outgoing;
use super::{PAGE, pages::Pages};
use crate::ids::stripe::{CustomerId, PaymentIntentId};
use crate::stripe::errors::StripeError;
use crate::stripe::params::{CancelReason, CreatePaymentIntent, MethodChoice};
use crate::stripe::ticket::Ticket;
use crate::stripe::types::PaymentIntent;

impl StripeClient {
    /// Makes a payment intent, and confirms it at once if a payment method is given. A decline is an error that carries the
    /// intent, which exists despite the decline.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn create_payment_intent(
        &self,
        ticket: &Ticket,
        params: &CreatePaymentIntent,
    ) -> Result<PaymentIntent, StripeError> {
        self.once("create_payment_intent", async {
            let request = request(params)?;
            let answer = Outgoing::of(&request).under(ticket).send(self).await?;
            one(convert::payment_intent(answer))
        })
        .await
    }

    /// Returns the intent as it is now.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn retrieve_payment_intent(&self, id: &PaymentIntentId) -> Result<PaymentIntent, StripeError> {
        self.twice("retrieve_payment_intent", || async {
            let request = RetrievePaymentIntent::new(id.as_str());
            let answer = Outgoing::of(&request).send(self).await?;
            one(convert::payment_intent(answer))
        })
        .await
    }

    /// Cancels an intent, so that it can never succeed. Repeating this is harmless; for an intent that is already final, Stripe returns the error
    /// `payment_intent_unexpected_state` with the intent.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn cancel_payment_intent(
        &self,
        id: &PaymentIntentId,
        reason: Option<CancelReason>,
    ) -> Result<PaymentIntent, StripeError> {
        self.twice("cancel_payment_intent", || async {
            let mut request = CancelPaymentIntent::new(id.as_str());
            if let Some(reason) = reason {
                request = request.cancellation_reason(match reason {
                    CancelReason::Abandoned => CancelPaymentIntentCancellationReason::Abandoned,
                    CancelReason::RequestedByCustomer => {
                        CancelPaymentIntentCancellationReason::RequestedByCustomer
                    }
                });
            }
            let answer = Outgoing::of(&request).send(self).await?;
            one(convert::payment_intent(answer))
        })
        .await
    }

    /// Returns the intents of a customer created at `created_since` or later, newest first.
    ///
    /// # Errors
    /// See [`StripeClient`].
    pub async fn list_payment_intents(
        &self,
        customer: &CustomerId,
        created_since: DateTime<Utc>,
    ) -> Result<Vec<PaymentIntent>, StripeError> {
        self.once("list_payment_intents", async {
            let mut pages = Pages::new();
            while let Some(cursor) = pages.next()? {
                let mut request = ListPaymentIntent::new()
                    .customer(customer.as_str())
                    .created(RangeQueryTs::gte(created_since.timestamp()))
                    .limit(PAGE);
                if let Some(cursor) = cursor {
                    request = request.starting_after(cursor);
                }
                let page = Outgoing::of(&request).send(self).await?;
                pages.take(page, convert::payment_intent)?;
            }
            Ok(pages.into_objects())
        })
        .await
    }
}

fn request(params: &CreatePaymentIntent) -> Result<payment_intent::CreatePaymentIntent, StripeError> {
    let currency = params.amount.currency();
    let mut request =
        payment_intent::CreatePaymentIntent::new(wire_amount(params.amount)?, wire_currency(currency))
            .customer(params.customer.as_str())
            .metadata(wire_tags(params.tags));
    // `payment_method_types` does not exist in API version 2026-09-30.endive, which the library pins; its replacement excludes
    // `automatic_payment_methods` (<https://docs.stripe.com/changelog/endive>).
    request = match params.method {
        MethodChoice::Automatic => {
            let mut methods = CreatePaymentIntentAutomaticPaymentMethods::new(true);
            if params.payment_method.is_some() {
                // The server confirms this intent: there is no payer present who could be redirected.
                methods.allow_redirects =
                    Some(CreatePaymentIntentAutomaticPaymentMethodsAllowRedirects::Never);
            }
            request.automatic_payment_methods(methods)
        }
        MethodChoice::Card => request.allowed_payment_method_types([AllowedMethod::Card]),
        MethodChoice::BankDebit => {
            let debit = MethodChoice::bank_debit(currency).ok_or_else(|| {
                StripeError::refused_here("payment_method_unavailable", "this currency has no bank debit")
            })?;
            let Ok(kind) = debit.parse::<AllowedMethod>();
            let request = request.allowed_payment_method_types([kind]);
            if debit == "acss_debit" {
                request.payment_method_options(CreatePaymentIntentPaymentMethodOptions {
                    acss_debit: Some(one_off_mandate()),
                    ..CreatePaymentIntentPaymentMethodOptions::new()
                })
            } else {
                request
            }
        }
    };
    if let Some(method) = &params.payment_method {
        request = request
            .payment_method(method.as_str())
            .confirm(true)
            .off_session(CreatePaymentIntentOffSession::Bool(true));
    }
    Ok(request)
}

/// Returns the mandate of a Canadian debit, which must state what the payer agrees to: a person's payments, each at that person's request
/// (<https://docs.stripe.com/payments/acss-debit/accept-a-payment>).
fn one_off_mandate() -> CreatePaymentIntentPaymentMethodOptionsAcssDebit {
    CreatePaymentIntentPaymentMethodOptionsAcssDebit {
        mandate_options: Some(CreatePaymentIntentPaymentMethodOptionsAcssDebitMandateOptions {
            payment_schedule: Some(
                CreatePaymentIntentPaymentMethodOptionsAcssDebitMandateOptionsPaymentSchedule::Sporadic,
            ),
            transaction_type: Some(
                CreatePaymentIntentPaymentMethodOptionsAcssDebitMandateOptionsTransactionType::Personal,
            ),
            ..CreatePaymentIntentPaymentMethodOptionsAcssDebitMandateOptions::new()
        }),
        ..CreatePaymentIntentPaymentMethodOptionsAcssDebit::new()
    }
}

#[cfg(test)]
mod tests {
    use stripe::StripeRequest;

    use super::*;
    use crate::money::{Currency, Money};
    use crate::stripe::params::Tags;

    fn body(
        currency: Currency,
        method: MethodChoice,
        payment_method: Option<&str>,
    ) -> Result<String, StripeError> {
        let params = CreatePaymentIntent {
            amount: Money::from_minor(1250, currency).unwrap(),
            customer: "cus_1".parse().unwrap(),
            method,
            payment_method: payment_method.map(|id| id.parse().unwrap()),
            tags: Tags {
                transaction_id: "018f2f5e-7b3c-7000-8000-000000000001".parse().unwrap(),
                wallet_id: "018f2f5e-7b3c-7000-8000-000000000002".parse().unwrap(),
            },
        };
        request(&params).map(|request| {
            request
                .build()
                .body
                .unwrap()
                .replace("%5B", "[")
                .replace("%5D", "]")
        })
    }

    #[test]
    fn a_canadian_debit_says_what_its_payer_agrees_to() {
        let body = body("cad".parse().unwrap(), MethodChoice::BankDebit, None).unwrap();
        has(
            &body,
            &[
                "payment_method_options[acss_debit][mandate_options][payment_schedule]=sporadic",
                "payment_method_options[acss_debit][mandate_options][transaction_type]=personal",
            ],
        );
    }

    fn has(body: &str, wanted: &[&str]) {
        for item in wanted {
            assert!(
                body.split('&').any(|pair| pair == *item),
                "{item} is not in {body}"
            );
        }
    }

    #[test]
    fn an_intent_for_the_client_is_not_confirmed_and_carries_its_tags() {
        let body = body(Currency::USD, MethodChoice::Automatic, None).unwrap();
        has(
            &body,
            &[
                "amount=1250",
                "currency=usd",
                "customer=cus_1",
                "automatic_payment_methods[enabled]=true",
                "metadata[transaction_id]=018f2f5e-7b3c-7000-8000-000000000001",
                "metadata[wallet_id]=018f2f5e-7b3c-7000-8000-000000000002",
            ],
        );
        assert!(
            !body.contains("confirm") && !body.contains("allow_redirects"),
            "{body}"
        );
    }

    #[test]
    fn with_a_payment_method_it_is_confirmed_off_session_and_never_redirects() {
        let automatic = body(Currency::USD, MethodChoice::Automatic, Some("pm_card_visa")).unwrap();
        has(
            &automatic,
            &[
                "confirm=true",
                "off_session=true",
                "payment_method=pm_card_visa",
                "automatic_payment_methods[allow_redirects]=never",
            ],
        );
        let card = body(Currency::USD, MethodChoice::Card, Some("pm_card_visa")).unwrap();
        has(&card, &["confirm=true", "allowed_payment_method_types[0]=card"]);
        assert!(!card.contains("automatic"), "{card}");
    }

    #[test]
    fn a_bank_debit_is_that_of_the_currency_or_refused_before_sending() {
        for (code, debit) in [
            ("usd", "us_bank_account"),
            ("eur", "sepa_debit"),
            ("gbp", "bacs_debit"),
            ("cad", "acss_debit"),
            ("aud", "au_becs_debit"),
        ] {
            let body = body(code.parse().unwrap(), MethodChoice::BankDebit, None).unwrap();
            has(&body, &[&format!("allowed_payment_method_types[0]={debit}")]);
            assert_eq!(body.contains("mandate_options"), code == "cad", "{body}");
        }
        let refused = body(Currency::JPY, MethodChoice::BankDebit, None).unwrap_err();
        assert_eq!(refused.code.as_deref(), Some("payment_method_unavailable"));
    }
}
