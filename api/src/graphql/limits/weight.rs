//! Estimates the weight of an answer before anything is read: fields × rows × the size of each.
//!
//! A query is estimated by what is usual, or no ordinary list could be requested: for most fields the largest value is far from the usual
//! one. A field that is requested again in the same object is taken at its maximum, since only amplification gains by it.
//! [`super::super::answer`] still ends an answer that grows beyond its limit, and actual reads are counted towards the rate limit afterwards.
//! A mutation has taken effect when its answer is built, so its answer is bounded by the maximum beforehand.

use apollo_compiler::ast::{OperationType, Value};
use async_graphql::Variables;
use wallet_core::text_limits::{MOST_DETAIL, MOST_MESSAGE, MOST_REASON};
use wallet_core::transactions::MOST_LINES;

use super::plan::{Plan, Step};
use super::{DEFAULT_PAGE, MAX_ANSWER, MAX_PAGE, MAX_ROWS, refused};
use crate::errors::ApiError;

/// The bytes into which most introspection answers fit as a whole.
const INTROSPECTION: usize = 128 * 1024;

/// An amount of something: the usual one, and the maximum.
#[derive(Debug, Clone, Copy)]
struct Amount {
    usual: usize,
    most: usize,
}

impl Amount {
    const fn always(number: usize) -> Self {
        Self {
            usual: number,
            most: number,
        }
    }

    const fn of(usual: usize, most: usize) -> Self {
        Self { usual, most }
    }

    fn by(self, measure: Measure) -> usize {
        match measure {
            Measure::Usual => self.usual.min(self.most),
            Measure::Most => self.most,
        }
    }
}

/// The value at which an amount is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    Usual,
    Most,
}

/// The number of wallets of a person who has few.
const USUAL_WALLETS: usize = 8;
/// The number of lines of a timeline. The last one is written even if it is full; timelines older than the limit may have some more.
const LINES: Amount = Amount::of(24, MOST_LINES + 56);
/// The number of causes of a debt.
const DEBTS: Amount = Amount::of(4, 1_000);

/// The work that a request makes for the database and the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    /// Bytes of the answer.
    pub(crate) bytes: usize,
    /// Rows of pages and lists.
    pub(crate) rows: usize,
    /// Reads from the database.
    pub(crate) reads: usize,
}

impl Weight {
    fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            rows: self.rows.saturating_add(other.rows),
            reads: self.reads.saturating_add(other.reads),
        }
    }

    /// Returns the weight of a list in which each row has this weight.
    fn times(self, rows: usize) -> Self {
        Self {
            bytes: self.bytes.saturating_mul(rows),
            rows: self.rows.saturating_mul(rows),
            reads: self.reads.saturating_mul(rows),
        }
    }
}

/// Weighs a plan and refuses one that is too heavy; `wallets` is the maximum number of wallets in a list.
pub(super) fn check(plan: &Plan, variables: &Variables, wallets: usize) -> Result<Weight, ApiError> {
    let scale = Scale {
        variables,
        wallets: Amount::of(USUAL_WALLETS, wallets),
        measure: match plan.operation {
            OperationType::Mutation => Measure::Most,
            OperationType::Query | OperationType::Subscription => Measure::Usual,
        },
    };
    let weight = scale.object(&plan.steps, DEFAULT_PAGE);
    if weight.rows > MAX_ROWS {
        return Err(refused(format!(
            "may read more than {MAX_ROWS} rows; ask for smaller pages, or for fewer lists at once"
        )));
    }
    if weight.bytes > MAX_ANSWER {
        return Err(refused(format!(
            "may be answered with more than {} MiB; ask for smaller pages, or leave out large fields such as metadata, description \
             and timeline",
            MAX_ANSWER.div_ceil(1024 * 1024)
        )));
    }
    Ok(weight)
}

struct Scale<'a> {
    variables: &'a Variables,
    wallets: Amount,
    measure: Measure,
}

impl Scale<'_> {
    /// Weighs an object; `page` is the number of rows on it, if it is a page.
    fn object(&self, steps: &[Step], page: usize) -> Weight {
        let braces = Weight {
            bytes: 2,
            ..Weight::default()
        };
        steps.iter().enumerate().fold(braces, |sum, (number, step)| {
            let mut before = steps.iter().take(number);
            let is_repeated = before.any(|other| other.field.name == step.field.name);
            let measure = if is_repeated { Measure::Most } else { self.measure };
            sum.plus(self.field(step, page, measure))
        })
    }

    fn field(&self, step: &Step, page: usize, measure: Measure) -> Weight {
        let key = Weight {
            bytes: step.key.len() + 4,
            ..Weight::default()
        };
        key.plus(self.value(step, page, measure))
    }

    fn value(&self, step: &Step, page: usize, measure: Measure) -> Weight {
        let inner = || self.object(&step.steps, page);
        match (step.parent.as_str(), step.field.name.as_str()) {
            ("Query", "__schema" | "__type") => Weight {
                bytes: INTROSPECTION,
                ..Weight::default()
            },
            ("Query", "wallets") => {
                let (each, wallets) = (inner(), self.wallets.by(measure));
                // A page of histories is counted by its own rows, not again for every wallet, whose number is not known.
                let rows = each.rows.saturating_add(wallets);
                reads(1).plus(Weight {
                    rows,
                    ..each.times(wallets)
                })
            }
            ("Query" | "Mutation" | "Subscription", "__typename") => leaf(step, measure),
            ("Query" | "Mutation" | "Subscription", _) => reads(1).plus(inner()),
            ("Wallet", "transactions") => {
                let page = self.page(step);
                let inner = self.object(&step.steps, page);
                // The rows are read once, however often the page shows them; so are all their timelines.
                reads(1).plus(Weight {
                    rows: inner.rows.max(page),
                    reads: inner.reads.min(1),
                    ..inner
                })
            }
            ("Wallet", "owedBalance") => reads(1).plus(leaf(step, measure)),
            ("Wallet", "debts") => reads(2).plus(self.lines(step, page, DEBTS.by(measure))),
            ("TransactionConnection", "nodes" | "edges") => inner().times(page).plus(Weight {
                rows: page,
                ..Weight::default()
            }),
            ("WalletTransaction", "timeline") => reads(1).plus(self.lines(step, page, LINES.by(measure))),
            _ if step.steps.is_empty() => leaf(step, measure),
            _ => inner(),
        }
    }

    /// Weighs a list that counts as one row.
    fn lines(&self, step: &Step, page: usize, lines: usize) -> Weight {
        Weight {
            bytes: self.object(&step.steps, page).bytes.saturating_mul(lines),
            rows: 1,
            reads: 0,
        }
    }

    /// Returns how many rows a page may have. A value out of bounds is refused by the field itself, with the field's name.
    fn page(&self, step: &Step) -> usize {
        let bounded = |first: i64| usize::try_from(first).unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
        match step.field.specified_argument_by_name("first").map(AsRef::as_ref) {
            None | Some(Value::Null) => DEFAULT_PAGE,
            Some(Value::Variable(name)) => match self.variables.get(name.as_str()) {
                Some(async_graphql::Value::Null) => DEFAULT_PAGE,
                Some(async_graphql::Value::Number(number)) => number.as_i64().map_or(MAX_PAGE, bounded),
                // The variable was not sent; its default is at most this.
                _ => MAX_PAGE,
            },
            Some(value) => value.to_i32().map_or(MAX_PAGE, |first| bounded(first.into())),
        }
    }
}

const fn reads(reads: usize) -> Weight {
    Weight {
        bytes: 0,
        rows: 0,
        reads,
    }
}

/// Estimates the bytes of a scalar; see the bounds in `wallet_core::accept` and `wallet_core::text_limits`.
fn leaf(step: &Step, measure: Measure) -> Weight {
    let bytes = match (step.parent.as_str(), step.field.name.as_str()) {
        // 1,000 characters of at most four bytes.
        ("WalletTransaction", "description") => Amount::of(1024, 4 * 1024),
        ("WalletTransaction", "reference") => Amount::of(256, 1024),
        ("WalletTransaction", "failureReason") => Amount::of(256, MOST_REASON),
        // Masked in lists, where each number or text becomes at least four dots of three bytes.
        ("WalletTransaction", "senderDetails" | "receiverDetails") => Amount::of(2 * 1024, 128 * 1024),
        ("TransactionEvent", "detail") => Amount::of(256, MOST_DETAIL),
        ("TransactionEvent", "message") => Amount::of(128, MOST_MESSAGE),
        ("TransactionEvent", "kind") => Amount::always(32),
        ("PayoutOnboarding", "url") => Amount::always(2 * 1024),
        (_, "__typename") => Amount::always(32),
        _ => match step.field.definition.ty.inner_named_type().as_str() {
            "Boolean" => Amount::always(5),
            "Decimal" | "DateTime" | "Int" => Amount::always(40),
            "JSON" => Amount::of(2 * 1024, 16 * 1024),
            "String" => Amount::of(64, 256),
            // The name of an enum's value.
            _ => Amount::always(64),
        },
    };
    Weight {
        bytes: bytes.by(measure),
        ..Weight::default()
    }
}
