//! The settings of the simulator: delays, fees, modes, and where webhooks go.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The endpoint that events are sent to, and the secrets that sign them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WebhookTarget {
    /// The endpoint's URL; plain HTTP.
    pub url: String,
    /// Signs the platform's own events.
    pub platform_secret: String,
    /// Signs events of connected accounts; the platform's secret when absent.
    #[serde(default)]
    pub connect_secret: Option<String>,
    /// The event types that the endpoint subscribes to, with `*` as wildcard; all when empty.
    #[serde(default)]
    pub enabled_events: Vec<String>,
}

impl WebhookTarget {
    /// Returns an endpoint that gets every event.
    #[must_use]
    pub fn new(
        url: impl Into<String>,
        platform_secret: impl Into<String>,
        connect_secret: Option<String>,
    ) -> Self {
        Self {
            url: url.into(),
            platform_secret: platform_secret.into(),
            connect_secret: connect_secret.filter(|secret| !secret.is_empty()),
            enabled_events: Vec::new(),
        }
    }
}

/// How payouts progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayoutMode {
    /// Payouts go to `in_transit` and `paid` (or `failed`, depending on their bank account) after the set delays.
    Auto,
    /// Only the control endpoint moves them.
    Manual,
}

/// The clock of the `t=` in webhook signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureClock {
    /// The machine's: receivers that check the tolerance against real time accept it.
    Real,
    /// The simulator's: for receivers whose clock is moved together with the simulator's.
    Simulator,
}

/// The simulator's settings. Delays are in the simulator's time, so moving its clock makes them pass.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long money from cards is pending before it is available, in milliseconds; 0 = available at once.
    pub card_pending_ms: u64,
    /// How long money from bank debits is pending once they succeeded, in milliseconds.
    pub bank_pending_ms: u64,
    /// How long bank debits are `processing`, in milliseconds.
    pub bank_debit_ms: u64,
    /// Stripe's fee in hundredths of a percent; 290 is 2.9 %.
    pub fee_basis_points: i64,
    /// Stripe's fixed fee per payment, in minor units.
    pub fee_fixed: i64,
    /// Stripe's fee for a refund, in minor units, as some contracts have one. It is taken by the movement that takes the refund's money, and is
    /// not returned when the refund fails (<https://support.stripe.com/questions/understanding-fees-for-refunded-payments>).
    pub refund_fee_fixed: i64,
    /// Stripe's fee for a dispute, in minor units.
    pub dispute_fee: i64,
    /// Whether that fee is returned when the dispute is won.
    pub dispute_fee_returned: bool,
    /// Whether refunds and payouts that failed name the movement that returned their money: it can be `null` for a while
    /// (<https://docs.stripe.com/api/refunds/object#refund_object-failure_balance_transaction>).
    pub names_failure_movements: bool,
    /// How long after they succeed payments by `pm_card_createDispute` and similar methods are disputed, in milliseconds; 0 = at once.
    pub dispute_after_ms: u64,
    /// How payouts progress.
    pub payout_mode: PayoutMode,
    /// The time from `pending` to `in_transit`, in milliseconds.
    pub payout_in_transit_ms: u64,
    /// The time from `in_transit` to `paid` or `failed`, in milliseconds.
    pub payout_paid_ms: u64,
    /// Whether a failed payout disables its bank account for further payouts.
    pub payout_failure_disables_bank: bool,
    /// How long refunds of bank debits, and of `pm_card_pendingRefund`, are pending, in milliseconds.
    pub refund_pending_ms: u64,
    /// How long after they succeed refunds of `pm_card_refundFail` fail, in milliseconds.
    pub refund_fail_ms: u64,
    /// The metadata of the platform's own account.
    pub platform_metadata: BTreeMap<String, String>,
    /// Whether accounts created through the API can receive transfers and payouts at once, with a test bank account.
    pub accounts_ready: bool,
    /// The delay before a webhook is sent again, in milliseconds; it doubles each time.
    pub webhook_retry_base_ms: u64,
    /// For how long webhooks are sent again, in seconds.
    pub webhook_retry_horizon_s: u64,
    /// The timeout of a webhook, in milliseconds of real time.
    pub webhook_timeout_ms: u64,
    /// The clock that signs webhooks.
    pub webhook_signature_clock: SignatureClock,
    /// The platform's own payout schedule, `settings.payouts.schedule.interval`. Stripe's default is `daily`; a platform that holds money for
    /// others needs `manual`. The simulator only reports it: it makes no payouts by itself.
    pub platform_payout_interval: String,
    /// The country of the platform's own account.
    pub platform_country: String,
    /// The currencies in which the platform's balance is held, the default first; all when empty. A payment in another one is converted to the
    /// default (<https://docs.stripe.com/currencies/conversions>).
    pub settlement_currencies: Vec<String>,
    /// How many minor units of the default currency ten thousand of the converted one are: 10800 is an `exchange_rate` of 1.08.
    pub exchange_rate: i32,
    /// For how long idempotency keys are remembered, in seconds.
    pub idempotency_ttl_s: u64,
    /// Whether confirming an intent that may redirect its payer requires a `return_url`, as at Stripe; off by default, so that a card can be
    /// tried with the fewest parameters.
    pub require_return_url: bool,
    /// For how long events can be listed and retrieved, in seconds; thirty days at Stripe.
    pub event_retention_s: u64,
    /// The `api_version` of events.
    pub api_version: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            card_pending_ms: 0,
            bank_pending_ms: 0,
            bank_debit_ms: 200,
            fee_basis_points: 290,
            fee_fixed: 30,
            refund_fee_fixed: 0,
            dispute_fee: 1_500,
            dispute_fee_returned: false,
            names_failure_movements: true,
            dispute_after_ms: 0,
            payout_mode: PayoutMode::Auto,
            payout_in_transit_ms: 100,
            payout_paid_ms: 100,
            payout_failure_disables_bank: true,
            refund_pending_ms: 200,
            refund_fail_ms: 500,
            platform_metadata: BTreeMap::new(),
            accounts_ready: false,
            webhook_retry_base_ms: 1_000,
            webhook_retry_horizon_s: 3 * 86_400,
            webhook_timeout_ms: 10_000,
            webhook_signature_clock: SignatureClock::Real,
            platform_payout_interval: "manual".to_owned(),
            platform_country: "US".to_owned(),
            settlement_currencies: Vec::new(),
            exchange_rate: 10_800,
            idempotency_ttl_s: 86_400,
            require_return_url: false,
            event_retention_s: 30 * 86_400,
            api_version: "2026-09-30.endive".to_owned(),
        }
    }
}

impl Settings {
    /// Stripe's fee for a payment of `amount`, rounded half up.
    pub(crate) fn fee(&self, amount: i64) -> i64 {
        if self.fee_basis_points == 0 && self.fee_fixed == 0 {
            return 0;
        }
        amount
            .saturating_mul(self.fee_basis_points)
            .saturating_add(5_000)
            .div_euclid(10_000)
            .saturating_add(self.fee_fixed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fee_is_2_9_percent_and_30_rounded_half_up() {
        let settings = Settings::default();
        assert_eq!(settings.fee(10_000), 320);
        assert_eq!(settings.fee(1_050), 60); // 30.45 -> 30
        assert_eq!(settings.fee(500), 45); // 14.5 -> 15
        assert_eq!(
            Settings {
                fee_basis_points: 0,
                fee_fixed: 0,
                ..settings
            }
            .fee(10_000),
            0
        );
    }
}
