//! Compares, for each transaction, what Stripe moved with what its entries say. Pure functions.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

use super::Moved;
use super::ledger_snapshot::{Booked, LedgerSnapshot, Standing};
use super::report::{Cause, Difference, Subject};
use crate::ids::TransactionId;
use crate::money::Currency;

/// How long something may be under way before it needs an operator, unless it waits for a bank.
const SOON: TimeDelta = TimeDelta::hours(1);

/// How long Stripe's list of movements may lag behind its answers.
const LAG: TimeDelta = TimeDelta::minutes(1);

/// Returns how many transactions agree, and the differences of those that do not.
pub(super) fn transactions(
    snapshot: &LedgerSnapshot,
    moved: &HashMap<(TransactionId, Currency), Moved>,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> (u64, Vec<Difference>) {
    let keys: HashSet<&(TransactionId, Currency)> = snapshot.booked.keys().chain(moved.keys()).collect();
    let (mut matched, mut differences) = (0, Vec::new());
    for key in keys {
        let sides = Sides {
            stripe: moved.get(key),
            ledger: snapshot.booked.get(key),
        };
        if sides.agree() {
            matched += 1;
            continue;
        }
        let standing = snapshot.standing.get(&key.0);
        // Of a transaction that began before the period only a part is known; the standing sums contain it nevertheless.
        if standing.is_some_and(|standing| standing.began_before && standing.changed_at < since + SOON) {
            continue;
        }
        let is_elsewhere = Currency::all()
            .iter()
            .map(|currency| (key.0, *currency))
            .any(|other| {
                other.1 != key.1 && (moved.contains_key(&other) || snapshot.booked.contains_key(&other))
            });
        let age = now - sides.last().unwrap_or(now);
        let (cause, explained) = if standing.is_some_and(|standing| standing.changed_at > now) {
            // It was settled while Stripe's movements were read.
            (Cause::InFlight, true)
        } else {
            cause(&sides, standing, is_elsewhere, age)
        };
        differences.push(Difference {
            subject: Subject::Transaction,
            transaction: Some(key.0),
            amount: sides.difference(),
            currency: key.1,
            age,
            cause,
            explained,
        });
    }
    differences.sort_by_key(|difference| std::cmp::Reverse(difference.age));
    (matched, differences)
}

struct Sides<'a> {
    stripe: Option<&'a Moved>,
    ledger: Option<&'a Booked>,
}

impl Sides<'_> {
    fn stripe(&self) -> (Decimal, Decimal) {
        self.stripe
            .map_or((Decimal::ZERO, Decimal::ZERO), |moved| (moved.net, moved.fee))
    }

    fn ledger(&self) -> (Decimal, Decimal) {
        self.ledger
            .map_or((Decimal::ZERO, Decimal::ZERO), |booked| (booked.net, booked.fee))
    }

    fn agree(&self) -> bool {
        self.stripe() == self.ledger()
    }

    fn difference(&self) -> Decimal {
        self.stripe().0 - self.ledger().0
    }

    fn last(&self) -> Option<DateTime<Utc>> {
        self.stripe
            .map(|moved| moved.last)
            .max(self.ledger.map(|booked| booked.last))
    }
}

/// Returns the likely cause, and whether it explains the difference.
fn cause(
    sides: &Sides<'_>,
    standing: Option<&Standing>,
    is_elsewhere: bool,
    age: TimeDelta,
) -> (Cause, bool) {
    if is_elsewhere {
        return (Cause::OtherCurrency, false);
    }
    let ((net, fee), (booked, booked_fee)) = (sides.stripe(), sides.ledger());
    let is_open = standing.is_some_and(|standing| standing.is_open);
    // The gross amount agrees: only the fee is missing.
    if sides.stripe.is_some() && booked_fee.is_zero() && net + fee == booked {
        let expected = standing.is_some_and(|standing| standing.has_fee_job);
        return (Cause::FeeNotBooked, expected);
    }
    // A payment succeeds before its movement exists; the job that books its fee waits for the movement too. Once a fee is booked, or that job
    // is done, the movement has existed: if it is missing then, it is not on its way.
    if sides.stripe.is_none() {
        let is_coming = standing.is_some_and(|standing| standing.has_fee_job)
            || (booked_fee.is_zero() && (age <= LAG || (is_open && age <= SOON)));
        return if is_coming {
            (Cause::InFlight, true)
        } else {
            (Cause::MissingAtStripe, false)
        };
    }
    if is_open {
        let is_unpaid = sides.stripe.is_some_and(|moved| moved.is_unpaid);
        let waits_for_a_bank = standing.is_some_and(|standing| match standing.stage.as_str() {
            "refunding" | "disputed" => true,
            "awaiting_payment" => is_unpaid,
            _ => false,
        });
        return if waits_for_a_bank || age <= SOON {
            (Cause::InFlight, true)
        } else {
            (Cause::EventNotReceived, false)
        };
    }
    if booked.is_zero() || net.is_zero() {
        (Cause::EventNotReceived, false)
    } else {
        (Cause::AmountDiffers, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(net: i64, fee: i64) -> Moved {
        Moved {
            net: Decimal::new(net, 2),
            fee: Decimal::new(fee, 2),
            last: DateTime::UNIX_EPOCH,
            is_unpaid: false,
        }
    }

    fn booked(net: i64, fee: i64) -> Booked {
        Booked {
            net: Decimal::new(net, 2),
            fee: Decimal::new(fee, 2),
            last: DateTime::UNIX_EPOCH,
        }
    }

    fn standing(stage: &str, is_open: bool, has_fee_job: bool) -> Standing {
        Standing {
            stage: stage.to_owned(),
            is_open,
            has_fee_job,
            changed_at: DateTime::UNIX_EPOCH,
            began_before: false,
        }
    }

    #[test]
    fn each_way_to_differ_has_its_cause() {
        let (young, old) = (TimeDelta::minutes(1), TimeDelta::days(2));
        let done = standing("completed", false, false);
        let cases = [
            (
                Some(moved(970, 30)),
                Some(booked(1_000, 0)),
                standing("completed", false, true),
                young,
                Cause::FeeNotBooked,
                true,
            ),
            // A card is paid at once, a bank debit in days.
            (
                Some(moved(970, 30)),
                None,
                standing("awaiting_payment", true, false),
                old,
                Cause::EventNotReceived,
                false,
            ),
            (
                Some(Moved {
                    is_unpaid: true,
                    ..moved(970, 30)
                }),
                None,
                standing("awaiting_payment", true, false),
                old,
                Cause::InFlight,
                true,
            ),
            (
                Some(moved(970, 30)),
                Some(booked(1_000, 0)),
                done.clone(),
                young,
                Cause::FeeNotBooked,
                false,
            ),
            // Just credited: Stripe's movement comes with its fee.
            (
                None,
                Some(booked(1_000, 0)),
                standing("completed", false, true),
                young,
                Cause::InFlight,
                true,
            ),
            (
                None,
                Some(booked(1_000, 0)),
                standing("completed", false, true),
                old,
                Cause::InFlight,
                true,
            ),
            // Its fee was booked, so it had arrived.
            (
                None,
                Some(booked(970, 30)),
                done.clone(),
                young,
                Cause::MissingAtStripe,
                false,
            ),
            // Nothing more is to come: a payment without a fee, a transfer that Stripe has answered.
            (
                None,
                Some(booked(1_000, 0)),
                done.clone(),
                TimeDelta::minutes(2),
                Cause::MissingAtStripe,
                false,
            ),
            (
                None,
                Some(booked(-1_000, 0)),
                done.clone(),
                TimeDelta::minutes(59),
                Cause::MissingAtStripe,
                false,
            ),
            (
                None,
                Some(booked(1_000, 0)),
                done.clone(),
                young,
                Cause::InFlight,
                true,
            ),
            (
                None,
                Some(booked(-1_000, 0)),
                standing("refunding", true, false),
                TimeDelta::minutes(59),
                Cause::InFlight,
                true,
            ),
            (
                None,
                Some(booked(1_000, 0)),
                done.clone(),
                old,
                Cause::MissingAtStripe,
                false,
            ),
            (
                Some(moved(1_000, 0)),
                None,
                standing("awaiting_payment", true, false),
                young,
                Cause::InFlight,
                true,
            ),
            (
                Some(moved(1_000, 0)),
                None,
                standing("awaiting_payment", true, false),
                old,
                Cause::EventNotReceived,
                false,
            ),
            (
                Some(moved(-1_000, 0)),
                None,
                standing("refunding", true, false),
                old,
                Cause::InFlight,
                true,
            ),
            (
                Some(moved(1_000, 0)),
                None,
                standing("cancelled", false, false),
                young,
                Cause::EventNotReceived,
                false,
            ),
            // A refund that came back.
            (
                Some(moved(0, 0)),
                Some(booked(-1_000, 0)),
                done.clone(),
                young,
                Cause::EventNotReceived,
                false,
            ),
            (
                Some(moved(1_000, 0)),
                Some(booked(900, 0)),
                done,
                young,
                Cause::AmountDiffers,
                false,
            ),
        ];
        for (number, (stripe, ledger, standing, age, expected, explained)) in cases.into_iter().enumerate() {
            let sides = Sides {
                stripe: stripe.as_ref(),
                ledger: ledger.as_ref(),
            };
            assert!(!sides.agree());
            assert_eq!(
                cause(&sides, Some(&standing), false, age),
                (expected, explained),
                "case {number}"
            );
            assert_eq!(
                cause(&sides, Some(&standing), true, age),
                (Cause::OtherCurrency, false)
            );
        }
        let (stripe, ledger) = (moved(970, 30), booked(970, 30));
        assert!(
            Sides {
                stripe: Some(&stripe),
                ledger: Some(&ledger)
            }
            .agree()
        );
    }
}
