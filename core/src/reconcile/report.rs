//! What a reconciliation says.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

use super::accounts::Accounts;
use super::books::Books;
use crate::ids::TransactionId;
use crate::money::Currency;
use crate::stripe::Balance;

/// An event that has not come for so long is lost: nobody has to look before.
const ON_ITS_WAY: TimeDelta = TimeDelta::minutes(10);

/// Why Stripe and the books probably differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It is under way: the next step is a job's, or Stripe's.
    InFlight,
    /// Stripe's fee has not been booked.
    FeeNotBooked,
    /// Stripe did it, and its event has not come or was not understood.
    EventNotReceived,
    /// Nobody asked us, and no payment of ours is behind it.
    MadeOutside,
    /// Its metadata names a transaction of ours that these books do not hold: a backup that is older than Stripe, for example.
    NotInBooks,
    /// The books say it and Stripe knows nothing of it.
    MissingAtStripe,
    /// Both know it, with different amounts.
    AmountDiffers,
    /// It was settled in another currency than it was booked in.
    OtherCurrency,
    /// The account is closed or no longer connected, so that it cannot be asked.
    AccountAway,
}

impl Cause {
    /// A few words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InFlight => "in flight",
            Self::FeeNotBooked => "fee not booked yet",
            Self::EventNotReceived => "event not received yet",
            Self::MadeOutside => "made outside",
            Self::NotInBooks => "ours, but not in these books",
            Self::MissingAtStripe => "missing at Stripe",
            Self::AmountDiffers => "amount differs",
            Self::OtherCurrency => "settled in another currency",
            Self::AccountAway => "account cannot be asked",
        }
    }
}

/// What differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A movement that belongs to no transaction of ours.
    Movement {
        /// `txn_…`
        id: String,
        /// Stripe's `type`.
        kind: String,
        /// The object behind it.
        source: Option<String>,
    },
    /// What was moved for a transaction of ours.
    Transaction,
    /// What a connected account holds.
    Account(String),
}

/// Something that Stripe and the books do not agree about.
#[derive(Debug, Clone)]
pub struct Difference {
    /// What.
    pub subject: Subject,
    /// The transaction it belongs to, or gives back.
    pub transaction: Option<TransactionId>,
    /// What Stripe has more than the books, in major units; negative when it has less.
    pub amount: Decimal,
    /// In which currency.
    pub currency: Currency,
    /// For how long.
    pub age: TimeDelta,
    /// Why, probably.
    pub cause: Cause,
    /// Whether that is nothing to look at.
    pub explained: bool,
}

impl Difference {
    /// Whether it may be gone in a moment: an event on its way takes a second, one that no webhook brings is asked for after a quiet minute.
    #[must_use]
    pub fn is_on_its_way(&self) -> bool {
        !self.explained && self.cause == Cause::EventNotReceived && self.age < ON_ITS_WAY
    }

    /// What it is about: the subject of its alarm.
    #[must_use]
    pub fn about(&self) -> String {
        match (&self.subject, self.transaction) {
            (Subject::Movement { id, .. }, _) | (Subject::Account(id), _) => id.clone(),
            (Subject::Transaction, Some(id)) => id.to_string(),
            (Subject::Transaction, None) => String::new(),
        }
    }

    /// The same with what is known of it.
    #[must_use]
    pub fn in_words(&self) -> String {
        let what = match &self.subject {
            Subject::Movement { id, kind, source } => {
                let source = source
                    .as_deref()
                    .map(|source| format!(" {source}"))
                    .unwrap_or_default();
                format!("{kind}{source} ({id})")
            }
            Subject::Transaction => "transaction".to_owned(),
            Subject::Account(id) => format!("account {id}"),
        };
        let of = self.transaction.map(|id| format!(" {id}")).unwrap_or_default();
        format!(
            "{what}{of}: {} {}, {}",
            self.amount,
            self.currency.code(),
            self.cause.as_str()
        )
    }
}

/// The standing sums of one currency, in major units.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Which.
    pub currency: Currency,
    /// What the platform holds at Stripe, pending money included.
    pub balance: Decimal,
    /// −Σ `stripe:clearing`: what it should hold for the wallets.
    pub clearing: Decimal,
    /// What of it is known to be the platform's own.
    pub own: Decimal,
    /// What the differences of movements and transactions explain.
    pub differences: Decimal,
    /// What nothing explains: zero.
    pub rest: Decimal,
    /// What connected accounts hold, and payouts that are not paid.
    pub connected: Decimal,
    /// −Σ `stripe:in_transit`: what they should.
    pub in_transit: Decimal,
    /// Σ of all entries: zero.
    pub all: Decimal,
    /// Whether the balance moved while it was looked at: then a rest says nothing.
    pub moved_meanwhile: bool,
}

impl Figure {
    /// Whether the sums are what they should be, differences apart.
    #[must_use]
    pub fn holds(&self) -> bool {
        (self.rest.is_zero() || self.moved_meanwhile) && self.all.is_zero()
    }
}

/// What was compared and found.
#[derive(Debug, Clone)]
pub struct Reconciliation {
    /// From when on.
    pub since: DateTime<Utc>,
    /// When.
    pub at: DateTime<Utc>,
    /// Movements of the platform's balance.
    pub movements: u64,
    /// Transactions on which Stripe and the books agree.
    pub matched: u64,
    /// Movements of the platform's own money.
    pub own: u64,
    /// One for each currency.
    pub figures: Vec<Figure>,
    /// What does not match.
    pub differences: Vec<Difference>,
}

impl Reconciliation {
    /// The differences that somebody has to look at.
    pub fn unexplained(&self) -> impl Iterator<Item = &Difference> {
        self.differences.iter().filter(|difference| !difference.explained)
    }

    /// Those of them that are no event on its way: what an unattended comparison raises alarms for.
    pub fn alarming(&self) -> impl Iterator<Item = &Difference> {
        self.unexplained()
            .filter(|difference| !difference.is_on_its_way())
    }

    /// Whether nothing is alarming and the sums hold.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.alarming().next().is_none() && self.figures.iter().all(Figure::holds)
    }

    /// Whether everything is explained.
    #[must_use]
    pub fn is_explained(&self) -> bool {
        self.unexplained().next().is_none() && self.figures.iter().all(Figure::holds)
    }
}

/// The standing sums; `differences` are those of the platform's balance.
pub(super) fn figures(
    books: &Books,
    balance: &Balance,
    accounts: &Accounts,
    differences: &[Difference],
    moved_meanwhile: bool,
) -> Vec<Figure> {
    let mut figures: BTreeMap<Currency, Figure> = BTreeMap::new();
    let blank = |currency| Figure {
        currency,
        balance: Decimal::ZERO,
        clearing: Decimal::ZERO,
        own: Decimal::ZERO,
        differences: Decimal::ZERO,
        rest: Decimal::ZERO,
        connected: Decimal::ZERO,
        in_transit: Decimal::ZERO,
        all: Decimal::ZERO,
        moved_meanwhile,
    };
    let mut of = |currency, add: &dyn Fn(&mut Figure)| {
        add(figures.entry(currency).or_insert_with(|| blank(currency)));
    };
    for sums in &books.sums {
        of(sums.currency, &|figure| {
            figure.clearing += sums.clearing;
            figure.in_transit += sums.in_transit;
            figure.all += sums.all;
            figure.own += sums.own;
        });
    }
    for held in balance.available.iter().chain(&balance.pending) {
        of(held.currency(), &|figure| figure.balance += held.amount());
    }
    for (currency, held) in accounts.asked.iter().flat_map(|account| &account.held) {
        of(*currency, &|figure| figure.connected += held);
    }
    for difference in differences {
        of(difference.currency, &|figure| {
            figure.differences += difference.amount
        });
    }
    figures
        .into_values()
        .map(|mut figure| {
            figure.rest = figure.balance - figure.clearing - figure.own - figure.differences;
            figure
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(cause: Cause, minutes: i64, explained: bool) -> Reconciliation {
        let now = DateTime::UNIX_EPOCH;
        Reconciliation {
            since: now,
            at: now,
            movements: 1,
            matched: 0,
            own: 0,
            figures: Vec::new(),
            differences: vec![Difference {
                subject: Subject::Transaction,
                transaction: None,
                amount: Decimal::NEGATIVE_ONE,
                currency: "usd".parse().unwrap(),
                age: TimeDelta::minutes(minutes),
                cause,
                explained,
            }],
        }
    }

    #[test]
    fn an_event_on_its_way_is_listed_and_alarms_nobody_until_it_is_ten_minutes_old() {
        let young = found(Cause::EventNotReceived, 9, false);
        assert!(young.is_quiet() && !young.is_explained());
        assert!(!found(Cause::EventNotReceived, 10, false).is_quiet());
    }

    #[test]
    fn whatever_else_differs_alarms_at_once() {
        assert!(!found(Cause::MadeOutside, 0, false).is_quiet());
        assert!(!found(Cause::AmountDiffers, 0, false).is_quiet());
        assert!(found(Cause::InFlight, 60, true).is_quiet());
    }
}
