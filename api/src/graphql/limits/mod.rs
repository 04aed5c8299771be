//! What a request may cost, checked before the engine sees it.
//!
//! The engine expands fragments while it measures, so that a few hundred bytes can keep it busy for ever; it runs a field that is
//! selected twice twice, which for a mutation is another transfer; and its parser recurses as deep as a document nests. Here a
//! document is measured once, each fragment once, and refused before any of this.

mod measure;
mod nesting;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, OperationDefinition, OperationType, Selection, SelectionSet,
};
use async_graphql::{Positioned, Request};

use self::measure::Measurer;
use crate::errors::ApiError;

/// How deep fields may nest.
pub(crate) const MAX_DEPTH: usize = 8;
/// Most fields of a request, aliases and fragments included.
pub(crate) const MAX_FIELDS: usize = 200;
/// Most directives on one selection.
pub(crate) const MAX_DIRECTIVES: usize = 5;
/// Most transactions on a page, and how many when not said.
pub(crate) const MAX_PAGE: usize = 100;
pub(crate) const DEFAULT_PAGE: usize = 20;
/// Most rows that all pages of a request may have together; a timeline counts as one.
const MAX_ROWS: usize = 200;
/// Most mutations of a request.
const MAX_MUTATIONS: usize = 3;
/// Most operations and fragments of a document.
const MAX_DEFINITIONS: usize = 50;
/// Most fields of introspection, where it is allowed: three times the usual query.
const MAX_INTROSPECTION: usize = 1_000;

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Query, mutation or subscription.
    pub(crate) operation: OperationType,
    /// How many mutations it holds.
    pub(crate) mutations: u32,
    /// Whether it asks for the schema and nothing else.
    pub(crate) is_introspection: bool,
}

impl Shape {
    /// How many operations it is to a rate limit.
    pub(crate) fn cost(self) -> u32 {
        self.mutations.max(1)
    }
}

/// Parses and measures a request; the engine takes the parsed document over.
///
/// # Errors
/// [`ApiError::Validation`] of the field `query`, with what is too much.
pub(crate) fn check(request: &mut Request, introspection: bool) -> Result<Shape, ApiError> {
    if nesting::exceeds(&request.query) {
        return Err(refused("is nested too deep"));
    }
    if request.operation_name.as_deref() == Some("") {
        request.operation_name = None;
    }
    let variables = request.variables.clone();
    let name = request.operation_name.clone();
    let document = request
        .parsed_query()
        .map_err(|error| refused(format!("cannot be parsed: {}", error.message)))?;
    if document.operations.iter().len() + document.fragments.len() > MAX_DEFINITIONS {
        return Err(refused(format!(
            "holds more than {MAX_DEFINITIONS} operations and fragments"
        )));
    }
    let mut measurer = Measurer::new(document, &variables);
    for (_, operation) in document.operations.iter() {
        measurer.check(&operation.node, introspection)?;
    }
    let operation = chosen(document, name.as_deref())?;
    let mut root = Vec::new();
    root_fields(document, &operation.selection_set.node, &mut root);
    let is_introspection = root.iter().all(|field| field.name.starts_with("__"));
    let mut mutations = 0;
    if operation.ty == OperationType::Mutation {
        mutations = mutation_count(&root)?;
    }
    Ok(Shape {
        operation: operation.ty,
        mutations,
        is_introspection,
    })
}

fn refused(problem: impl Into<String>) -> ApiError {
    ApiError::validation("query", problem)
}

fn chosen<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Result<&'a OperationDefinition, ApiError> {
    let found = match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Some(operation),
        (DocumentOperations::Multiple(operations), None) if operations.len() == 1 => {
            operations.values().next()
        }
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name),
        _ => None,
    };
    let mend = "must name one of the document's operations";
    found
        .map(|operation| &operation.node)
        .ok_or_else(|| ApiError::validation("operationName", mend))
}

/// A field of the root, by its name and the key under which its result is given.
struct RootField<'a> {
    name: &'a str,
    key: &'a str,
}

/// The root's fields with those of its fragments; bounded, since the document has been measured.
fn root_fields<'a>(document: &'a ExecutableDocument, set: &'a SelectionSet, found: &mut Vec<RootField<'a>>) {
    for Positioned { node: selection, .. } in &set.items {
        match selection {
            Selection::Field(field) => {
                found.push(RootField {
                    name: &field.node.name.node,
                    key: &field.node.response_key().node,
                });
            }
            Selection::InlineFragment(fragment) => {
                root_fields(document, &fragment.node.selection_set.node, found)
            }
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                    root_fields(document, &fragment.node.selection_set.node, found);
                }
            }
        }
    }
}

/// How many mutations there are; none of them may be selected twice under one key, because the engine would run it twice.
fn mutation_count(root: &[RootField<'_>]) -> Result<u32, ApiError> {
    let mut keys = HashSet::new();
    for field in root.iter().filter(|field| !field.name.starts_with("__")) {
        if !keys.insert(field.key) {
            return Err(refused(format!(
                "selects {} twice; give each mutation its own alias",
                field.key
            )));
        }
    }
    if keys.len() > MAX_MUTATIONS {
        return Err(refused(format!("holds more than {MAX_MUTATIONS} mutations")));
    }
    Ok(u32::try_from(keys.len()).unwrap_or(u32::MAX))
}
