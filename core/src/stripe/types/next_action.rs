//! What a payer has to do before a payment continues, and until when Stripe waits for it
//! (<https://docs.stripe.com/api/payment_intents/object#payment_intent_object-next_action>).

use chrono::{DateTime, TimeDelta, Utc};

/// A payer who is present (at a redirect, in an app, in front of a code to scan) acts within a day, or not at all.
const IN_PERSON: TimeDelta = TimeDelta::hours(24);

/// Micro-deposits must be confirmed within ten days of their arrival
/// (<https://docs.stripe.com/payments/ach-direct-debit/accept-a-payment>); a day is added until the end of the last day.
const CONFIRMED_WITHIN: TimeDelta = TimeDelta::days(11);

/// A payment on a voucher's last day is reported on the next business day (<https://docs.stripe.com/payments/vouchers>).
const REPORTED_WITHIN: TimeDelta = TimeDelta::days(5);

/// An action without a known end, such as a bank transfer, is given the longest time that any action may take.
const LONGEST: TimeDelta = TimeDelta::days(35);

/// The action that the payer has to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextAction {
    /// An action that is done at once: authenticating, scanning a code, confirming in an app.
    InPerson,
    /// Finding two small amounts on a bank statement once they have arrived, and confirming them.
    MicroDeposits {
        /// When the amounts arrive.
        arrive: DateTime<Utc>,
    },
    /// Paying a voucher in a shop or at a bank.
    Voucher {
        /// When the voucher expires; `None` if Stripe does not say.
        expires: Option<DateTime<Utc>>,
    },
    /// An action that takes its time, or that this version does not know.
    Other,
}

impl NextAction {
    /// Returns when the payer is no longer expected to act on a payment that began at `begun`.
    #[must_use]
    pub fn ends(self, begun: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::InPerson => begun + IN_PERSON,
            Self::MicroDeposits { arrive } => arrive + CONFIRMED_WITHIN,
            Self::Voucher {
                expires: Some(expires),
            } => expires + REPORTED_WITHIN,
            Self::Voucher { expires: None } | Self::Other => begun + LONGEST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    #[test]
    fn each_action_has_the_end_that_stripe_gives_it() {
        let begun = at(0);
        let days = |action: NextAction| (action.ends(begun) - begun).num_hours();
        assert_eq!(days(NextAction::InPerson), 24);
        let arrive = at(48);
        assert_eq!(days(NextAction::MicroDeposits { arrive }), 48 + 11 * 24);
        let expires = Some(at(72));
        assert_eq!(days(NextAction::Voucher { expires }), 72 + 5 * 24);
        assert_eq!(days(NextAction::Voucher { expires: None }), 35 * 24);
        assert_eq!(days(NextAction::Other), 35 * 24);
    }
}
