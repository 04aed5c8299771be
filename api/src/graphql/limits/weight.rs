//! What an answer may weigh: fields × rows × the size of each, estimated before anything is read.
//!
//! The estimate is for what people usually have; [`super::super::answer`] ends an answer that grows beyond it all the same.

use apollo_compiler::ast::Value;
use async_graphql::Variables;

use super::plan::{Plan, Step};
use super::{DEFAULT_PAGE, MAX_ANSWER, MAX_PAGE, MAX_ROWS, refused};
use crate::errors::ApiError;

/// How many wallets a person usually has at most.
const WALLETS: usize = 8;
/// How many lines a timeline usually has at most.
const LINES: usize = 24;
/// Most introspection answers, whole.
const INTROSPECTION: usize = 128 * 1024;

/// What a request makes the database and the wire do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    /// Bytes of the answer.
    pub(crate) bytes: usize,
    /// Rows of pages and lists.
    pub(crate) rows: usize,
    /// Questions to the database.
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

    /// The same for each row of a list.
    fn times(self, rows: usize) -> Self {
        Self {
            bytes: self.bytes.saturating_mul(rows),
            rows: self.rows.saturating_mul(rows),
            reads: self.reads.saturating_mul(rows),
        }
    }
}

/// Weighs a plan, and refuses what is too much.
pub(super) fn check(plan: &Plan, variables: &Variables) -> Result<Weight, ApiError> {
    let weight = Scale { variables }.object(&plan.steps, DEFAULT_PAGE);
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
}

impl Scale<'_> {
    /// An object; `page` is how many rows the page has that it may be.
    fn object(&self, steps: &[Step], page: usize) -> Weight {
        let braces = Weight {
            bytes: 2,
            ..Weight::default()
        };
        steps
            .iter()
            .fold(braces, |sum, step| sum.plus(self.field(step, page)))
    }

    fn field(&self, step: &Step, page: usize) -> Weight {
        let key = Weight {
            bytes: step.key.len() + 4,
            ..Weight::default()
        };
        key.plus(self.value(step, page))
    }

    fn value(&self, step: &Step, page: usize) -> Weight {
        let read = |rows| Weight {
            bytes: 0,
            rows,
            reads: 1,
        };
        match (step.parent.as_str(), step.field.name.as_str()) {
            ("Query", "__schema" | "__type") => Weight {
                bytes: INTROSPECTION,
                ..Weight::default()
            },
            ("Query", "wallets") => {
                let each = self.object(&step.steps, page);
                // A page of histories is counted by its own rows, not once more for every wallet: how many there are is not known.
                let rows = each.rows.saturating_add(WALLETS);
                read(0).plus(Weight {
                    rows,
                    ..each.times(WALLETS)
                })
            }
            ("Query" | "Mutation" | "Subscription", "__typename") => leaf(step),
            ("Query" | "Mutation" | "Subscription", _) => read(0).plus(self.object(&step.steps, page)),
            ("Wallet", "transactions") => {
                let page = self.page(step);
                let inner = self.object(&step.steps, page);
                // The rows are read once, however often the page shows them.
                read(0).plus(Weight {
                    rows: inner.rows.max(page),
                    ..inner
                })
            }
            ("TransactionConnection", "nodes" | "edges") => {
                let each = self.object(&step.steps, page);
                each.times(page).plus(Weight {
                    rows: page,
                    ..Weight::default()
                })
            }
            ("WalletTransaction", "timeline") => read(1).plus(Weight {
                bytes: self.object(&step.steps, page).bytes.saturating_mul(LINES),
                ..Weight::default()
            }),
            _ if step.steps.is_empty() => leaf(step),
            _ => self.object(&step.steps, page),
        }
    }

    /// How many rows a page may have. What is out of bounds is refused by the field itself, with the field's name.
    fn page(&self, step: &Step) -> usize {
        let bounded = |first: i64| usize::try_from(first).unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
        match step.field.specified_argument_by_name("first").map(AsRef::as_ref) {
            None | Some(Value::Null) => DEFAULT_PAGE,
            Some(Value::Variable(name)) => match self.variables.get(name.as_str()) {
                Some(async_graphql::Value::Null) => DEFAULT_PAGE,
                Some(async_graphql::Value::Number(number)) => number.as_i64().map_or(MAX_PAGE, bounded),
                // One that was not sent: its default is somewhere, and at most this.
                _ => MAX_PAGE,
            },
            Some(value) => value.to_i32().map_or(MAX_PAGE, |first| bounded(first.into())),
        }
    }
}

/// The most that a scalar is written with, in bytes; see the bounds in `wallet_core::accept`.
fn leaf(step: &Step) -> Weight {
    let bytes = match (step.parent.as_str(), step.field.name.as_str()) {
        ("WalletTransaction", "metadata") => 16 * 1024,
        // 1,000 characters of at most four bytes.
        ("WalletTransaction", "description") => 4 * 1024,
        ("WalletTransaction", "reference" | "failureReason") => 1024,
        ("TransactionEvent", "detail") => 512,
        ("TransactionEvent", "kind") => 32,
        ("PayoutOnboarding", "url") => 2 * 1024,
        (_, "__typename") => 32,
        _ => match step.field.definition.ty.inner_named_type().as_str() {
            "Boolean" => 5,
            "Decimal" | "DateTime" | "Int" => 40,
            "JSON" => 16 * 1024,
            "String" => 256,
            // The name of an enum's value.
            _ => 64,
        },
    };
    Weight {
        bytes,
        ..Weight::default()
    }
}
