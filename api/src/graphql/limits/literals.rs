//! Checks the values in a document: each field of an input object occurs once, and numbers can be kept as they are.
//!
//! The validator checks neither, and the engine keeps the last of two equal fields
//! (<https://spec.graphql.org/September2025/#sec-Input-Object-Field-Uniqueness>).

use std::collections::HashSet;

use apollo_compiler::Node;
use apollo_compiler::ast::{Argument, Definition, DirectiveList, Document, Selection, Value};

use crate::errors::ApiError;
use crate::exact::{self, Label};

/// Checks every value of a document.
pub(super) fn check(document: &Document) -> Result<(), ApiError> {
    for definition in &document.definitions {
        match definition {
            Definition::OperationDefinition(operation) => {
                for variable in &operation.variables {
                    if let Some(default) = &variable.default_value {
                        value(default, Label::of(&variable.name))?;
                    }
                    directives(&variable.directives)?;
                }
                directives(&operation.directives)?;
                selections(&operation.selection_set)?;
            }
            Definition::FragmentDefinition(fragment) => {
                directives(&fragment.directives)?;
                selections(&fragment.selection_set)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Recurses as deep as the parser lets selections nest.
fn selections(set: &[Selection]) -> Result<(), ApiError> {
    for selection in set {
        match selection {
            Selection::Field(field) => {
                directives(&field.directives)?;
                arguments(&field.arguments)?;
                selections(&field.selection_set)?;
            }
            Selection::InlineFragment(fragment) => {
                directives(&fragment.directives)?;
                selections(&fragment.selection_set)?;
            }
            Selection::FragmentSpread(spread) => directives(&spread.directives)?,
        }
    }
    Ok(())
}

fn directives(list: &DirectiveList) -> Result<(), ApiError> {
    list.iter()
        .try_for_each(|directive| arguments(&directive.arguments))
}

fn arguments(list: &[Node<Argument>]) -> Result<(), ApiError> {
    list.iter()
        .try_for_each(|argument| value(&argument.value, Label::of(&argument.name)))
}

/// Recurses as deep as the parser lets values nest.
fn value(found: &Value, label: Label<'_>) -> Result<(), ApiError> {
    match found {
        Value::Int(number) => exact::number(number.as_str())
            .map(|_| ())
            .map_err(|why| why.at(label)),
        Value::Float(number) => exact::number(number.as_str())
            .map(|_| ())
            .map_err(|why| why.at(label)),
        Value::List(items) => items.iter().try_for_each(|item| value(item, label)),
        Value::Object(fields) => {
            let mut names = HashSet::new();
            for (name, inner) in fields {
                let label = label.within(name);
                if !names.insert(name) {
                    return Err(exact::Refused::Twice(name.to_string()).at(label));
                }
                value(inner, label)?;
            }
            Ok(())
        }
        Value::Null | Value::Enum(_) | Value::Variable(_) | Value::String(_) | Value::Boolean(_) => Ok(()),
    }
}
