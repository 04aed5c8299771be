//! Bounds the cost of a request before the engine sees it.
//!
//! The engine expands fragments while it measures, so a few hundred bytes can keep it busy for ever; it runs a field twice that is
//! selected twice, which for a mutation is another transfer; and it lets an answer grow without end. Here a document is parsed
//! within bounds ([`document`]), counted from the top ([`bounds`], [`literals`]), validated by the specification's rules, collected
//! into a [`Plan`], and weighed ([`weight`]). The engine receives the plan and nothing else that the client wrote.

mod bounds;
mod document;
mod engine;
mod literals;
mod plan;
#[cfg(test)]
mod tests;
mod usages;
mod variables;
mod weight;

use apollo_compiler::ast::{Definition, Document, OperationDefinition};
use async_graphql::Request;
use async_graphql::parser::types::OperationType;

pub(crate) use self::plan::{Plan, Step};
pub(crate) use self::weight::Weight;
use crate::errors::ApiError;
use crate::state::App;

/// The maximum nesting depth of fields.
pub(crate) const MAX_DEPTH: usize = 8;
/// The maximum number of fields in a request, including aliases and fragments.
pub(crate) const MAX_FIELDS: usize = 200;
/// The maximum number of directives on one selection.
pub(crate) const MAX_DIRECTIVES: usize = 5;
/// The maximum number of transactions on a page, and the default.
pub(crate) const MAX_PAGE: usize = 100;
pub(crate) const DEFAULT_PAGE: usize = 20;
/// The maximum number of bytes in an answer.
pub(crate) const MAX_ANSWER: usize = 8 * 1024 * 1024 - 64 * 1024;
/// The maximum number of rows in all pages and lists of a request together; a timeline counts as one.
const MAX_ROWS: usize = 200;
/// The maximum number of mutations in a request.
const MAX_MUTATIONS: usize = 3;
/// The maximum number of operations and fragments in a document.
const MAX_DEFINITIONS: usize = 50;
/// The maximum number of introspection fields, where introspection is allowed: three times the usual query.
pub(crate) const MAX_INTROSPECTION: usize = 1_000;

/// What each further unit of the rate limit buys: this many bytes of an answer, or this many reads from the database.
const BYTES_PER_COST: usize = 128 * 1024;
const READS_PER_COST: usize = 25;

/// The rules by which a request is judged, besides its document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Whether it may ask for the schema.
    pub(crate) introspection: bool,
    /// The maximum number of wallets in a list.
    pub(crate) wallets: usize,
}

impl Rules {
    /// Returns the rules of this server.
    pub(crate) fn of(app: &App) -> Self {
        Self {
            introspection: app.graphiql,
            wallets: usize::try_from(app.most_wallets).unwrap_or(usize::MAX),
        }
    }
}

/// The measured properties of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Query, mutation or subscription.
    pub(crate) operation: OperationType,
    /// The number of mutations that it holds.
    pub(crate) mutations: u32,
    /// Whether it asks for the schema and nothing else.
    pub(crate) is_introspection: bool,
    /// The number of fields at its root, without those of introspection.
    roots: u32,
    /// The estimated weight of its answer.
    weight: Weight,
}

impl Shape {
    /// Returns its cost in operations of the rate limit: one for each field at the root, and more for a heavy answer.
    pub(crate) fn cost(self) -> u32 {
        self.cost_of(self.weight.bytes, self.weight.reads)
    }

    /// Returns the cost for the actual bytes of its answer and the actual reads from the database besides those of the root.
    pub(crate) fn cost_of(self, bytes: usize, reads: usize) -> u32 {
        let heavy = (bytes / BYTES_PER_COST).max(reads / READS_PER_COST);
        let heavy = u32::try_from(heavy).unwrap_or(u32::MAX);
        self.roots.max(1).saturating_add(heavy)
    }

    /// Returns the estimated weight of its answer.
    pub(crate) const fn weight(self) -> Weight {
        self.weight
    }
}

/// Reads and measures a request. Replaces its document with the one that the engine runs, and adds the [`Plan`] to its data.
///
/// # Errors
/// [`ApiError::Validation`] with the field of the request, and what is wrong or too much.
pub(crate) fn check(request: &mut Request, rules: Rules) -> Result<Shape, ApiError> {
    let name = request.operation_name.take().filter(|name| !name.is_empty());
    let document = document::parse(&request.query)?;
    bounds::check(&document, rules.introspection)?;
    literals::check(&document)?;
    if !is_clear(&document, name.as_deref()) {
        let fix = "must name one of the document's operations";
        return Err(ApiError::validation("operationName", fix));
    }
    let valid = document::validated(&document)?;
    let operation = valid
        .operations
        .get(name.as_deref())
        .map_err(|error| ApiError::validation("operationName", error.message().to_string()))?;
    let plan = Plan::new(&valid, operation, &request.variables)?;
    usages::check(&plan, operation)?;
    variables::check(&plan, operation, &request.variables)?;
    let roots = plan
        .steps
        .iter()
        .filter(|step| !step.field.name.starts_with("__"))
        .count();
    if operation.is_mutation() && roots > MAX_MUTATIONS {
        return Err(refused(format!("holds more than {MAX_MUTATIONS} mutations")));
    }
    let roots = u32::try_from(roots).unwrap_or(u32::MAX);
    let shape = Shape {
        operation: engine::kind(operation.operation_type),
        mutations: if operation.is_mutation() { roots } else { 0 },
        is_introspection: roots == 0,
        roots,
        weight: weight::check(&plan, &request.variables, rules.wallets)?,
    };
    request.set_parsed_query(engine::document(&plan, operation, &valid.sources)?);
    request.data.insert(plan);
    Ok(shape)
}

fn refused(problem: impl Into<String>) -> ApiError {
    ApiError::validation("query", problem)
}

/// Returns the kind of operation that a request asks for, whatever else is wrong with it, or `None` if it is unclear.
pub(crate) fn kind(request: &Request) -> Option<OperationType> {
    let name = request.operation_name.as_deref().filter(|name| !name.is_empty());
    let document = document::parse(&request.query).ok()?;
    let mut meant =
        operations(&document).filter(|operation| name.is_none() || operation.name.as_deref() == name);
    let first = meant.next()?;
    meant.next().is_none().then(|| engine::kind(first.operation_type))
}

/// Returns whether it is clear which operation is meant.
fn is_clear(document: &Document, name: Option<&str>) -> bool {
    let mut operations = operations(document);
    match name {
        Some(name) => operations.any(|known| known.name.as_deref() == Some(name)),
        None => operations.count() == 1,
    }
}

fn operations(document: &Document) -> impl Iterator<Item = &OperationDefinition> {
    document
        .definitions
        .iter()
        .filter_map(Definition::as_operation_definition)
        .map(|operation| &**operation)
}
