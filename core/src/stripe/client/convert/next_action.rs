//! Converts the action that a payer has to take, from the library's many shapes.

use chrono::DateTime;

use crate::stripe::types::NextAction;

/// The types of actions that are done at once. New types that Stripe adds get the longest time until they are listed here.
const IN_PERSON: [&str; 16] = [
    "redirect_to_url",
    "use_stripe_sdk",
    "alipay_handle_redirect",
    "blik_authorize",
    "card_await_notification",
    "cashapp_handle_redirect_or_display_qr_code",
    "klarna_display_qr_code",
    "paynow_display_qr_code",
    "promptpay_display_qr_code",
    "swish_handle_redirect_or_display_qr_code",
    "upi_handle_redirect_or_display_qr_code",
    "wechat_pay_display_qr_code",
    "wechat_pay_redirect_to_android_app",
    "wechat_pay_redirect_to_ios_app",
    "oauth_redirect",
    "authorize_with_url",
];

pub(in crate::stripe::client) fn next_action(action: &stripe_shared::PaymentIntentNextAction) -> NextAction {
    let time = |seconds: i64| DateTime::from_timestamp(seconds, 0);
    let voucher = |expires: Option<i64>| NextAction::Voucher {
        expires: expires.and_then(time),
    };
    match action.type_.as_str() {
        "verify_with_microdeposits" => action
            .verify_with_microdeposits
            .as_ref()
            .and_then(|deposits| time(deposits.arrival_date))
            .map_or(NextAction::Other, |arrive| NextAction::MicroDeposits { arrive }),
        "boleto_display_details" => voucher(
            action
                .boleto_display_details
                .as_ref()
                .and_then(|it| it.expires_at),
        ),
        "konbini_display_details" => voucher(action.konbini_display_details.as_ref().map(|it| it.expires_at)),
        "multibanco_display_details" => voucher(
            action
                .multibanco_display_details
                .as_ref()
                .and_then(|it| it.expires_at),
        ),
        "oxxo_display_details" => voucher(
            action
                .oxxo_display_details
                .as_ref()
                .and_then(|it| it.expires_after),
        ),
        "pix_display_qr_code" => voucher(action.pix_display_qr_code.as_ref().and_then(|it| it.expires_at)),
        word if IN_PERSON.contains(&word) => NextAction::InPerson,
        _ => NextAction::Other,
    }
}
