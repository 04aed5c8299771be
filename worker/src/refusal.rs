//! Why Stripe refuses a request, in our words: a table from Stripe's codes to what the owner of a transaction reads and can do.
//!
//! Stripe's own messages are not shown, since they name keys, ids and parameters. Those of declined payments are
//! shown, since they are written for the payer. The codes are those of <https://docs.stripe.com/error-codes>.

use wallet_core::stripe::{ErrorClass, StripeError};
use wallet_core::transactions::{FailureCode, FailureReason};

/// One line of the table.
struct Refusal {
    /// Stripe's code.
    code: &'static str,
    /// The parameter to which this line is limited, where the code alone does not show what is wrong.
    param: Option<&'static str>,
    /// Our code, or `None` for the code of the refused step.
    ours: Option<FailureCode>,
    /// What is wrong and what to do.
    sentence: &'static str,
}

const fn line(code: &'static str, sentence: &'static str) -> Refusal {
    Refusal {
        code,
        param: None,
        ours: None,
        sentence,
    }
}

impl Refusal {
    const fn of(mut self, param: &'static str) -> Self {
        self.param = Some(param);
        self
    }

    const fn means(mut self, code: FailureCode) -> Self {
        self.ours = Some(code);
        self
    }
}

const METHOD_UNKNOWN: &str =
    "the payment method is not known to the payment provider; choose or add another one";
const METHOD_UNFIT: &str = "the payment method cannot be used for this payment; choose another one";
const BANK_UNUSABLE: &str =
    "the bank account cannot be paid out to; add another one to your payout account at Stripe";
const BANK_NUMBER: &str =
    "the bank account's number or routing number is wrong; correct it in your payout account at Stripe";
const PAYOUTS_OFF: &str = "payouts are disabled, for your payout account or for the bank account; see what Stripe asks there, or add another bank account";
const ACCOUNT_LACKS: &str = "your payout account cannot receive money yet; complete its details at Stripe";
const NO_COUNTRY: &str = "the payment provider does not pay to this country; ask support";

const TABLE: &[Refusal] = &[
    // Objects that are named and do not exist.
    line("resource_missing", METHOD_UNKNOWN).of("payment_method"),
    line(
        "resource_missing",
        "the bank account is not one of your payout account's; choose one of those, or none for its default",
    )
    .of("destination"),
    line(
        "resource_missing",
        "the payment provider does not know you any more; try again in a moment",
    )
    .of("customer"),
    line(
        "resource_missing",
        "the payment is not known to the payment provider any more; ask support",
    )
    .of("payment_intent"),
    line(
        "account_invalid",
        "the payout account does not exist or is not connected to the platform; connect one and try again",
    ),
    line("no_account", BANK_NUMBER),
    // Amounts.
    line(
        "amount_too_small",
        "the amount is below the least that the payment provider takes in this currency; use a larger one",
    ),
    line(
        "amount_too_large",
        "the amount is above the most that the payment provider takes; use a smaller one",
    ),
    line(
        "invalid_charge_amount",
        "the amount is not one that the payment provider takes in this currency; use another one",
    ),
    line(
        "payouts_limit_exceeded",
        "no more payouts are possible today; try again tomorrow",
    ),
    line(
        "charge_exceeds_transaction_limit",
        "the amount is above what this way of paying allows; use a smaller one or another way",
    ),
    line(
        "charge_exceeds_source_limit",
        "this way of paying has reached its limit; use another one or try again later",
    ),
    // Payment methods.
    line("payment_intent_incompatible_payment_method", METHOD_UNFIT),
    line("payment_intent_invalid_parameter", METHOD_UNFIT),
    line("payment_method_currency_mismatch", METHOD_UNFIT),
    line("payment_method_unsupported_type", METHOD_UNFIT),
    line("payment_method_not_available", METHOD_UNFIT),
    line("payment_method_restricted", METHOD_UNFIT),
    line("payment_method_unactivated", METHOD_UNFIT),
    line("payment_method_unavailable", METHOD_UNFIT),
    line("payment_method_unexpected_state", METHOD_UNFIT),
    line(
        "expired_payment_method",
        "the payment method has expired; choose another one",
    ),
    line(
        "payment_method_billing_details_address_missing",
        "the payment method lacks the payer's address; add it, or choose another one",
    ),
    line(
        "payment_intent_mandate_invalid",
        "the permission to debit the bank account is not valid any more; add the bank account again",
    ),
    line(
        "payment_method_microdeposit_failed",
        "the bank account could not be verified; add it again, or choose another one",
    ),
    line("account_closed", "the bank account is closed; use another one"),
    line(
        "debit_not_authorized",
        "the bank account does not allow debits; use another one",
    ),
    // Bank accounts that receive payouts.
    line("bank_account_unusable", BANK_UNUSABLE),
    line("bank_account_restricted", BANK_UNUSABLE),
    line("bank_account_unverified", BANK_UNUSABLE),
    line("bank_account_verification_failed", BANK_UNUSABLE),
    line("bank_account_declined", BANK_UNUSABLE),
    line("account_number_invalid", BANK_NUMBER),
    line("routing_number_invalid", BANK_NUMBER),
    line("bank_account_bad_routing_numbers", BANK_NUMBER),
    // Payout accounts.
    line("payouts_not_allowed", PAYOUTS_OFF),
    line("insufficient_capabilities_for_transfer", ACCOUNT_LACKS).means(FailureCode::PayoutAccountRefused),
    line("capability_not_active", ACCOUNT_LACKS).means(FailureCode::PayoutAccountRefused),
    line(
        "transfers_not_allowed",
        "the payment provider does not send money to this payout account; ask support",
    )
    .means(FailureCode::PayoutAccountRefused),
    line("country_unsupported", NO_COUNTRY),
    line("country_code_invalid", NO_COUNTRY),
    line(
        "balance_insufficient",
        "the money is not available at the payment provider; try again later",
    ),
    line(
        "insufficient_funds",
        "the money is not available at the payment provider; try again later",
    ),
    // Refunds.
    line(
        "charge_already_refunded",
        "all of the payment has been refunded already; nothing is left to refund",
    ),
    line(
        "charge_disputed",
        "the payer's bank has taken the payment back; it decides, and it cannot be refunded meanwhile",
    ),
    line(
        "refund_disputed_payment",
        "the payer's bank disputes the payment; it decides, and it cannot be refunded meanwhile",
    ),
    line(
        "charge_not_refundable",
        "the payment can no longer be refunded; pay the payer in another way",
    ),
    // Precautions of Stripe.
    line(
        "request_blocked",
        "the payment provider stopped this for safety; ask support",
    ),
    line(
        "action_blocked",
        "the payment provider stopped this for safety; ask support",
    ),
    line(
        "anomalous_money_movement_request",
        "the payment provider stopped this for safety; ask support",
    ),
];

/// Returns why a step failed that Stripe has refused; `step` is the code for refusals without a code of their own.
pub(crate) fn reason(error: &StripeError, step: FailureCode) -> FailureReason {
    if error.class == ErrorClass::Declined {
        return FailureReason::new(step, error.message.clone());
    }
    let code = error.code.as_deref().unwrap_or_default();
    let param = error.param.as_deref();
    let line = TABLE
        .iter()
        .find(|line| line.code == code && line.param.is_none_or(|of| param == Some(of)));
    let sentence = line.map_or(error.message.as_str(), |line| line.sentence);
    let ours = line.and_then(|line| line.ours).unwrap_or(step);
    // The code is added for support, and for anyone who looks it up at Stripe.
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if code.is_empty() || !code.bytes().all(is_word) {
        return FailureReason::new(ours, sentence);
    }
    FailureReason::new(ours, format!("{sentence} ({code})"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn told(code: Option<&str>, param: Option<&str>) -> String {
        let error = StripeError {
            code: code.map(ToOwned::to_owned),
            param: param.map(Into::into),
            ..StripeError::new(ErrorClass::Refused)
        };
        reason(&error, FailureCode::StripeRefused).to_string()
    }

    #[test]
    fn every_code_of_the_table_has_its_own_words_which_say_what_to_do() {
        let mut seen = BTreeSet::new();
        for line in TABLE {
            assert!(seen.insert((line.code, line.param)), "{} stands twice", line.code);
            let told = told(Some(line.code), line.param);
            let ours = line.ours.unwrap_or(FailureCode::StripeRefused).as_str();
            assert_eq!(told, format!("{ours}: {} ({})", line.sentence, line.code));
            assert!(!told.contains("refused the request"), "{told}");
            assert!(
                line.sentence.contains(';'),
                "{} does not say what to do",
                line.code
            );
        }
    }

    #[test]
    fn what_is_missing_is_told_by_its_parameter() {
        for (param, words) in [
            ("payment_method", "payment method"),
            ("destination", "bank account"),
            ("customer", "know you"),
            ("payment_intent", "the payment is not known"),
        ] {
            let told = told(Some("resource_missing"), Some(param));
            assert!(told.contains(words), "{param}: {told}");
        }
        let other = told(Some("resource_missing"), Some("transfer_group"));
        assert_eq!(
            other,
            "STRIPE_REFUSED: the payment provider refused the request (resource_missing)"
        );
    }

    #[test]
    fn what_the_table_does_not_know_keeps_its_code_and_nothing_that_is_no_code_is_shown() {
        assert_eq!(
            told(Some("a_code_of_tomorrow"), None),
            "STRIPE_REFUSED: the payment provider refused the request (a_code_of_tomorrow)"
        );
        for odd in [None, Some(""), Some("sk_live_KEY"), Some("<script>")] {
            assert_eq!(
                told(odd, None),
                "STRIPE_REFUSED: the payment provider refused the request"
            );
        }
    }

    #[test]
    fn a_decline_speaks_in_the_words_that_stripe_wrote_for_the_payer() {
        let error = StripeError {
            code: Some("card_declined".to_owned()),
            message: "Your card has insufficient funds.".to_owned(),
            ..StripeError::new(ErrorClass::Declined)
        };
        assert_eq!(
            reason(&error, FailureCode::PaymentDeclined).to_string(),
            "PAYMENT_DECLINED: Your card has insufficient funds."
        );
    }
}
