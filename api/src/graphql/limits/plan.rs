//! The plan of a request: its operation with fragments expanded, skipped fields left out, and each result once.
//!
//! The specification calls this collecting fields (<https://spec.graphql.org/September2025/#sec-Field-Collection>). It is done before
//! the engine instead of within it: the engine would run a field twice that is selected twice, and expands fragments as often as they
//! are spread.

use apollo_compiler::ast::{DirectiveList, OperationType, Value};
use apollo_compiler::collections::IndexMap;
use apollo_compiler::executable::{ExecutableDocument, Field, Operation, Selection, SelectionSet};
use apollo_compiler::{Name, Node};
use async_graphql::Variables;

use super::refused;
use crate::errors::ApiError;

/// An operation, field by field, in the order of its answer.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(super) operation: OperationType,
    pub(crate) steps: Vec<Step>,
}

/// One field of an object.
#[derive(Debug)]
pub(crate) struct Step {
    /// The key of its result.
    pub(crate) key: Name,
    /// The type of the object that it is a field of.
    pub(super) parent: Name,
    /// The first occurrence of the field, with its definition.
    pub(crate) field: Node<Field>,
    /// The fields of its own result; empty for a scalar.
    pub(crate) steps: Vec<Step>,
}

impl Plan {
    /// Returns whether a failed mutation can hide the results of others.
    pub(crate) fn holds_several_mutations(&self) -> bool {
        self.operation == OperationType::Mutation && self.steps.len() > 1
    }

    /// Collects the fields of an operation of a valid document, whose size was bounded before.
    pub(super) fn new(
        document: &ExecutableDocument,
        operation: &Operation,
        variables: &Variables,
    ) -> Result<Self, ApiError> {
        let collector = Collector {
            document,
            operation,
            variables,
        };
        Ok(Self {
            operation: operation.operation_type,
            steps: collector.object(&[&operation.selection_set])?,
        })
    }
}

struct Collector<'a> {
    document: &'a ExecutableDocument,
    operation: &'a Operation,
    variables: &'a Variables,
}

impl<'a> Collector<'a> {
    fn object(&self, sets: &[&'a SelectionSet]) -> Result<Vec<Step>, ApiError> {
        let mut found = IndexMap::default();
        for set in sets {
            self.collect(set, &mut found)?;
        }
        let Some(parent) = sets.first().map(|set| &set.ty) else {
            return Ok(Vec::new());
        };
        found
            .into_iter()
            .map(|(key, same)| self.step(key, parent, &same))
            .collect()
    }

    fn step(&self, key: &Name, parent: &Name, same: &[&'a Node<Field>]) -> Result<Step, ApiError> {
        let sets: Vec<&SelectionSet> = same.iter().map(|field| &field.selection_set).collect();
        let first = same
            .first()
            .ok_or_else(|| ApiError::internal("a result without a field"))?;
        // The engine would run it once for each; to report a mutation that was written twice by mistake is better than to guess.
        if same.len() > 1 && self.operation.is_mutation() && *parent == self.operation.selection_set.ty {
            return Err(refused(format!(
                "selects {key} twice; give each mutation its own alias"
            )));
        }
        Ok(Step {
            key: key.clone(),
            parent: parent.clone(),
            field: Node::clone(first),
            steps: self.object(&sets)?,
        })
    }

    /// Collects the fields of a selection set by the keys of their results.
    fn collect(
        &self,
        set: &'a SelectionSet,
        found: &mut IndexMap<&'a Name, Vec<&'a Node<Field>>>,
    ) -> Result<(), ApiError> {
        for selection in &set.selections {
            if !self.is_included(selection.directives())? {
                continue;
            }
            match selection {
                Selection::Field(field) => found.entry(field.response_key()).or_default().push(field),
                Selection::InlineFragment(fragment) => self.collect(&fragment.selection_set, found)?,
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.document.fragments.get(&spread.fragment_name) {
                        self.collect(&fragment.selection_set, found)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn is_included(&self, directives: &DirectiveList) -> Result<bool, ApiError> {
        for (name, included_if) in [("skip", false), ("include", true)] {
            let Some(directive) = directives.get(name) else {
                continue;
            };
            let Some(condition) = directive.specified_argument_by_name("if") else {
                continue;
            };
            if self.boolean(condition)? != included_if {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn boolean(&self, value: &Value) -> Result<bool, ApiError> {
        let name = match value {
            Value::Boolean(boolean) => return Ok(*boolean),
            Value::Variable(name) => name,
            _ => return Err(refused("has a condition that is neither true nor false")),
        };
        let default = || {
            let definition = self
                .operation
                .variables
                .iter()
                .find(|known| known.name == *name)?;
            definition.default_value.as_ref()?.to_bool()
        };
        match self.variables.get(name.as_str()) {
            Some(async_graphql::Value::Boolean(boolean)) => Some(*boolean),
            Some(_) => None,
            None => default(),
        }
        .ok_or_else(|| ApiError::validation("variables", format!("must hold true or false as {name}")))
    }
}
