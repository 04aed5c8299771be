//! What a payer has to do before a payment goes on, and until when Stripe waits for it
//! (<https://docs.stripe.com/api/payment_intents/object#payment_intent_object-next_action>).

use chrono::{DateTime, TimeDelta, Utc};

/// A payer who sits in front of it (a redirect, an app, a code to scan) has done it within a day, or not at all.
const IN_PERSON: TimeDelta = TimeDelta::hours(24);

/// Micro-deposits are to be confirmed within ten days of their arrival
/// (<https://docs.stripe.com/payments/ach-direct-debit/accept-a-payment>); a day is added for the end of the last one.
const CONFIRMED_WITHIN: TimeDelta = TimeDelta::days(11);

/// What was paid on the last day of a voucher is told on the next business day (<https://docs.stripe.com/payments/vouchers>).
const TOLD_WITHIN: TimeDelta = TimeDelta::days(5);

/// What names no end, such as a bank transfer, is waited for as long as for anything else.
const LONGEST: TimeDelta = TimeDelta::days(35);

/// What the payer has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextAction {
    /// Something that is done at once: authenticating, scanning a code, confirming in an app.
    InPerson,
    /// Looking up two small amounts on a statement, once they have arrived.
    MicroDeposits {
        /// When they arrive.
        arrive: DateTime<Utc>,
    },
    /// Paying a voucher in a shop or at a bank.
    Voucher {
        /// Until when; none when Stripe does not say.
        expires: Option<DateTime<Utc>>,
    },
    /// Something that takes its time, or that this version does not know.
    Other,
}

impl NextAction {
    /// When nobody will do it any more, for a payment that was begun then.
    #[must_use]
    pub fn ends(self, begun: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::InPerson => begun + IN_PERSON,
            Self::MicroDeposits { arrive } => arrive + CONFIRMED_WITHIN,
            Self::Voucher {
                expires: Some(expires),
            } => expires + TOLD_WITHIN,
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
