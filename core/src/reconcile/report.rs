//! The report of a reconciliation.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

use super::accounts::Accounts;
use super::ledger_snapshot::LedgerSnapshot;
use super::reading::Between;
use crate::ids::TransactionId;
use crate::money::Currency;
use crate::stripe::Balance;

/// An event that has not come for this long is lost; before that, no operator is needed.
const ON_ITS_WAY: TimeDelta = TimeDelta::minutes(10);

/// Why Stripe and the ledger probably differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It is under way: the next step is a job's, or Stripe's.
    InFlight,
    /// Stripe's fee has not been booked.
    FeeNotBooked,
    /// Stripe has done it, and its event has not come or was not understood.
    EventNotReceived,
    /// It was not requested by us, and no payment of ours is behind it.
    MadeOutside,
    /// Its metadata names a transaction of ours that the database does not have, for example after an old backup was restored.
    NotInBooks,
    /// The ledger has it and Stripe does not.
    MissingAtStripe,
    /// Both have it, with different amounts.
    AmountDiffers,
    /// It was settled in another currency than it was booked in.
    OtherCurrency,
    /// The connected account was read, and holds less than the ledger says: the event of a payout has not come, or money left it otherwise.
    AccountHoldsLess,
    /// The account is closed or no longer connected, so that it cannot be read.
    AccountAway,
    /// The platform paid out to its own bank what was not its own.
    TakenFromUsers,
}

impl Cause {
    /// Returns a short description.
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
            Self::AccountHoldsLess => "the account answers, and holds less than the books say",
            Self::AccountAway => "account cannot be asked",
            Self::TakenFromUsers => "paid out to the platform's bank although it was not the platform's own",
        }
    }
}

/// The subject of a difference.
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

/// Something about which Stripe and the ledger do not agree.
#[derive(Debug, Clone)]
pub struct Difference {
    /// What it is about.
    pub subject: Subject,
    /// The transaction that it belongs to, refunds, disputes or names.
    pub transaction: Option<TransactionId>,
    /// By how much Stripe has more than the ledger, in major units; negative if it has less.
    pub amount: Decimal,
    /// The currency.
    pub currency: Currency,
    /// For how long it has existed.
    pub age: TimeDelta,
    /// The probable cause.
    pub cause: Cause,
    /// Whether the cause explains it, so that no operator is needed.
    pub explained: bool,
}

impl Difference {
    /// Returns whether it may be gone in a moment: an event on its way takes a second, and one that no webhook brings is read after a quiet minute.
    #[must_use]
    pub fn is_on_its_way(&self) -> bool {
        let waits = matches!(self.cause, Cause::EventNotReceived | Cause::AccountHoldsLess);
        !self.explained && waits && self.age < ON_ITS_WAY
    }

    /// Returns what it is about: the subject of its alarm.
    #[must_use]
    pub fn about(&self) -> String {
        match (&self.subject, self.transaction) {
            (Subject::Movement { id, .. }, _) | (Subject::Account(id), _) => id.clone(),
            (Subject::Transaction, Some(id)) => id.to_string(),
            (Subject::Transaction, None) => String::new(),
        }
    }

    /// Returns a description with everything that is known about it.
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
            "{what}{of}: {}, {}",
            self.currency.written(self.amount),
            self.cause.as_str()
        )
    }
}

/// The standing sums of one currency, in major units.
#[derive(Debug, Clone)]
pub struct Figure {
    /// The currency.
    pub currency: Currency,
    /// What the platform holds at Stripe, pending money included.
    pub balance: Decimal,
    /// −Σ `stripe:clearing`: what it should hold for the wallets.
    pub clearing: Decimal,
    /// The part of the balance that is known to be the platform's own.
    pub own: Decimal,
    /// What of the platform's own Stripe keeps back in reserve: negative.
    pub reserved: Decimal,
    /// The sum of the differences of movements and transactions.
    pub differences: Decimal,
    /// The rest, which nothing explains: zero if all is well.
    pub rest: Decimal,
    /// What connected accounts hold, with payouts that are not paid yet.
    pub connected: Decimal,
    /// −Σ `stripe:in_transit`: what connected accounts should hold.
    pub in_transit: Decimal,
    /// Σ of all entries: zero if all is well.
    pub all: Decimal,
    /// Whether a rest is meaningful. It is not if the balance moved while it was read.
    pub is_checked: bool,
}

impl Figure {
    /// Returns the figure of a currency without any sums.
    pub(super) const fn blank(currency: Currency) -> Self {
        Self {
            currency,
            balance: Decimal::ZERO,
            clearing: Decimal::ZERO,
            own: Decimal::ZERO,
            reserved: Decimal::ZERO,
            differences: Decimal::ZERO,
            rest: Decimal::ZERO,
            connected: Decimal::ZERO,
            in_transit: Decimal::ZERO,
            all: Decimal::ZERO,
            is_checked: true,
        }
    }

    /// Returns whether the sums are what they should be, apart from the differences.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.rest.is_zero() && self.all.is_zero()
    }

    /// Returns whether the sums are known not to be what they should be. If they could not be checked, they neither hold nor differ.
    #[must_use]
    pub const fn differs(&self) -> bool {
        !self.all.is_zero() || (self.is_checked && !self.rest.is_zero())
    }
}

/// The result of a reconciliation.
#[derive(Debug, Clone)]
pub struct Reconciliation {
    /// The beginning of the period.
    pub since: DateTime<Utc>,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// The number of movements of the platform's balance.
    pub movements: u64,
    /// The number of transactions on which Stripe and the ledger agree.
    pub matched: u64,
    /// The number of movements of the platform's own money.
    pub own: u64,
    /// The figure of each currency.
    pub figures: Vec<Figure>,
    /// The differences, explained or not.
    pub differences: Vec<Difference>,
}

impl Reconciliation {
    /// Returns the differences that need an operator.
    pub fn unexplained(&self) -> impl Iterator<Item = &Difference> {
        self.differences.iter().filter(|difference| !difference.explained)
    }

    /// Returns those of them that are not events on their way: an unattended comparison raises alarms for these.
    pub fn alarming(&self) -> impl Iterator<Item = &Difference> {
        self.unexplained()
            .filter(|difference| !difference.is_on_its_way())
    }

    /// Returns whether an alarm about this movement, account, transaction or currency must stay open even if it was not raised again: only so
    /// many are raised at once, and a sum that could not be checked may still differ.
    #[must_use]
    pub fn may_still_differ(&self, subject: &str) -> bool {
        let mut open = self.figures.iter().filter(|figure| !figure.holds());
        self.alarming().any(|difference| difference.about() == subject)
            || open.any(|figure| figure.currency.code() == subject)
    }

    /// Returns whether nothing is alarming and no sum differs.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.alarming().next().is_none() && !self.figures.iter().any(Figure::differs)
    }

    /// Returns whether everything is explained and every sum holds.
    #[must_use]
    pub fn is_explained(&self) -> bool {
        self.unexplained().next().is_none() && self.figures.iter().all(Figure::holds)
    }

    /// Returns what does not agree, in words: differences, and sums that do not hold; `None` if nothing is known to differ.
    #[must_use]
    pub fn verdict(&self) -> Option<String> {
        let count = self.unexplained().count();
        let mut parts = Vec::new();
        if count > 0 {
            let verb = if count == 1 {
                "difference is"
            } else {
                "differences are"
            };
            parts.push(format!("{count} {verb} not explained"));
        }
        for figure in self.figures.iter().filter(|figure| figure.differs()) {
            let code = figure.currency.code();
            if !figure.rest.is_zero() && figure.is_checked {
                parts.push(format!("nothing explains {} {code} of the balance", figure.rest));
            }
            if !figure.all.is_zero() {
                parts.push(format!("all entries in {code} sum to {}", figure.all));
            }
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// Returns whether something is known not to agree. If it is neither this nor [`Self::is_explained`], a sum could not be checked.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.unexplained().next().is_some() || self.figures.iter().any(Figure::differs)
    }
}

/// Returns the standing sums; `differences` are those of the platform's balance.
pub(super) fn figures(
    snapshot: &LedgerSnapshot,
    balance: &Balance,
    between: &Between,
    accounts: &Accounts,
    differences: &[Difference],
) -> Vec<Figure> {
    let mut figures: BTreeMap<Currency, Figure> = BTreeMap::new();
    let mut of = |currency, add: &dyn Fn(&mut Figure)| {
        add(figures.entry(currency).or_insert_with(|| Figure::blank(currency)));
    };
    for sums in &snapshot.sums {
        of(sums.currency, &|figure| {
            figure.clearing += sums.clearing;
            figure.in_transit += sums.in_transit;
            figure.all += sums.all;
            figure.own += sums.own;
            figure.reserved += sums.reserved;
        });
    }
    for held in balance.all() {
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
        .map(|figure| settled(figure, between))
        .collect()
}

/// Adds the rest to a figure. A balance that was read between movements is taken to contain just as many of them as leave no rest, if possible.
fn settled(mut figure: Figure, between: &Between) -> Figure {
    let lacks = between.lacks(figure.currency);
    let rest = figure.balance - figure.clearing - figure.own - figure.differences;
    if let Some(lack) = lacks.into_iter().find(|lack| (rest + lack).is_zero()) {
        figure.balance += lack;
        figure.rest = Decimal::ZERO;
    } else {
        figure.rest = rest;
        figure.is_checked = between.is_still(figure.currency);
    }
    figure
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
        for cause in [Cause::EventNotReceived, Cause::AccountHoldsLess] {
            let young = found(cause, 9, false);
            assert!(young.is_quiet() && !young.is_explained());
            assert!(!found(cause, 10, false).is_quiet());
        }
    }

    #[test]
    fn a_verdict_names_what_does_not_agree_and_never_says_that_nothing_does_not() {
        assert_eq!(found(Cause::InFlight, 0, true).verdict(), None);
        let one = found(Cause::MadeOutside, 0, false);
        assert_eq!(one.verdict().unwrap(), "1 difference is not explained");
        let mut sums = found(Cause::InFlight, 0, true);
        sums.figures = vec![Figure {
            rest: 5.into(),
            all: 2.into(),
            ..figure(100)
        }];
        assert!(sums.differs());
        assert_eq!(
            sums.verdict().unwrap(),
            "nothing explains 5 usd of the balance; all entries in usd sum to 2"
        );
        sums.figures[0].all = Decimal::ZERO;
        sums.differences[0].explained = false;
        assert_eq!(
            sums.verdict().unwrap(),
            "1 difference is not explained; nothing explains 5 usd of the balance"
        );
        sums.figures[0].is_checked = false;
        assert_eq!(sums.verdict().unwrap(), "1 difference is not explained");
    }

    #[test]
    fn whatever_else_differs_alarms_at_once() {
        assert!(!found(Cause::MadeOutside, 0, false).is_quiet());
        assert!(!found(Cause::AmountDiffers, 0, false).is_quiet());
        assert!(found(Cause::InFlight, 60, true).is_quiet());
    }

    #[test]
    fn an_alarm_is_over_when_neither_a_difference_nor_an_open_sum_is_about_it() {
        let mut found = found(Cause::MadeOutside, 0, false);
        let id = TransactionId::from_uuid(uuid::Uuid::from_u128(7));
        found.differences[0].transaction = Some(id);
        found.figures = vec![Figure {
            rest: 5.into(),
            is_checked: false,
            ..figure(100)
        }];
        assert!(found.may_still_differ(&id.to_string()));
        assert!(found.may_still_differ("usd"), "not checked is not over");
        assert!(!found.may_still_differ("eur") && !found.may_still_differ("acct_1"));
        found.figures[0].rest = Decimal::ZERO;
        assert!(!found.may_still_differ("usd"));
    }

    fn figure(balance: i64) -> Figure {
        Figure {
            currency: "usd".parse().unwrap(),
            balance: balance.into(),
            clearing: 100.into(),
            own: 10.into(),
            reserved: 0.into(),
            differences: 0.into(),
            rest: 0.into(),
            connected: 0.into(),
            in_transit: 0.into(),
            all: 0.into(),
            is_checked: true,
        }
    }

    fn between(nets: &[i64]) -> Between {
        let of = |net: &i64| crate::money::Money::new((*net).into(), "usd".parse().unwrap()).unwrap();
        Between::These(nets.iter().map(of).collect())
    }

    #[test]
    fn a_sum_read_while_nothing_moved_holds_or_differs() {
        let right = settled(figure(110), &between(&[]));
        assert!(right.holds() && !right.differs() && right.is_checked);
        let wrong = settled(figure(111), &between(&[]));
        assert!(wrong.differs() && !wrong.holds());
        assert_eq!(wrong.rest, Decimal::ONE);
    }

    #[test]
    fn a_sum_read_between_movements_holds_for_a_first_part_of_them() {
        for balance in [110, 110 - 5, 110 - 5 - 20] {
            let read = settled(figure(balance), &between(&[20, 5]));
            assert!(read.holds() && read.balance == 110.into(), "{read:?}");
        }
    }

    #[test]
    fn a_sum_that_could_not_be_checked_neither_holds_nor_differs_nor_alarms() {
        for between in [between(&[20, 5]), Between::Many] {
            let unknown = settled(figure(99), &between);
            assert!(!unknown.holds() && !unknown.differs(), "{unknown:?}");
            let mut told = found(Cause::InFlight, 0, true);
            told.figures.push(unknown);
            assert!(told.is_quiet() && !told.is_explained() && !told.differs());
        }
        let broken = Figure {
            all: Decimal::ONE,
            ..settled(figure(99), &Between::Many)
        };
        assert!(broken.differs());
    }
}
