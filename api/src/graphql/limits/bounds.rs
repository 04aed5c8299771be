//! Bounds the size of a document, counted from the top, so that no document can keep the count busy or exhaust the stack.
//!
//! Every selection counts as at least one, a fragment as often as it is spread. The walk ends at the first exceeded bound.

use std::collections::HashMap;

use apollo_compiler::Name;
use apollo_compiler::ast::{Definition, DirectiveList, Document, FragmentDefinition, Selection};

use super::{MAX_DEFINITIONS, MAX_DEPTH, MAX_DIRECTIVES, MAX_FIELDS, MAX_INTROSPECTION, refused};
use crate::errors::ApiError;

/// The maximum number of selections in an operation with its fragments expanded: fields, spreads and inline fragments.
const MAX_SELECTIONS: usize = 2 * MAX_INTROSPECTION;
/// The maximum nesting depth of selections with fragments expanded.
const MAX_LEVELS: usize = 32;

/// Refuses a document that exceeds any bound.
pub(super) fn check(document: &Document, introspection: bool) -> Result<(), ApiError> {
    if document.definitions.len() > MAX_DEFINITIONS {
        return Err(refused(format!(
            "holds more than {MAX_DEFINITIONS} operations and fragments"
        )));
    }
    let fragments = document
        .definitions
        .iter()
        .filter_map(|definition| match definition {
            Definition::FragmentDefinition(fragment) => Some((&fragment.name, fragment.as_ref())),
            _ => None,
        })
        .collect();
    for definition in &document.definitions {
        let mut walk = Walk::new(&fragments, introspection);
        match definition {
            Definition::OperationDefinition(operation) => {
                few(&operation.directives)?;
                for variable in &operation.variables {
                    few(&variable.directives)?;
                }
                walk.selections(&operation.selection_set, Place::default())?;
            }
            Definition::FragmentDefinition(fragment) => {
                let place = Place {
                    // A fragment on a type of introspection, which cannot be spread where introspection is off.
                    in_introspection: fragment.type_condition.starts_with("__"),
                    ..Place::default()
                };
                walk.fragment(fragment, place)?;
            }
            _ => return Err(refused("may hold operations and fragments, and nothing else")),
        }
    }
    Ok(())
}

/// The position of a selection.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// The number of fields that enclose it.
    depth: usize,
    /// The number of selection sets that enclose it, including those of fragments.
    level: usize,
    in_introspection: bool,
}

/// The walk through one definition.
struct Walk<'a> {
    fragments: &'a HashMap<&'a Name, &'a FragmentDefinition>,
    introspection: bool,
    /// The fragments that the walk is inside of: one that is met again is a cycle.
    open: Vec<&'a Name>,
    selections: usize,
    fields: usize,
    introspected: usize,
}

impl<'a> Walk<'a> {
    fn new(fragments: &'a HashMap<&'a Name, &'a FragmentDefinition>, introspection: bool) -> Self {
        Self {
            fragments,
            introspection,
            open: Vec::new(),
            selections: 0,
            fields: 0,
            introspected: 0,
        }
    }

    fn selections(&mut self, set: &'a [Selection], place: Place) -> Result<(), ApiError> {
        if place.level > MAX_LEVELS {
            return Err(refused(format!(
                "is nested deeper than {MAX_LEVELS} selections, with fragments put in"
            )));
        }
        let inner = Place {
            level: place.level + 1,
            ..place
        };
        for selection in set {
            self.selections += 1;
            if self.selections > MAX_SELECTIONS {
                return Err(refused(format!(
                    "makes more than {MAX_SELECTIONS} selections, with fragments put in"
                )));
            }
            match selection {
                Selection::Field(field) => {
                    few(&field.directives)?;
                    self.field(field, inner)?;
                }
                Selection::InlineFragment(fragment) => {
                    few(&fragment.directives)?;
                    self.selections(&fragment.selection_set, inner)?;
                }
                Selection::FragmentSpread(spread) => {
                    few(&spread.directives)?;
                    let name = &spread.fragment_name;
                    let Some(fragment) = self.fragments.get(name).copied() else {
                        return Err(refused(format!(
                            "spreads the fragment {name}, which does not exist"
                        )));
                    };
                    self.fragment(fragment, inner)?;
                }
            }
        }
        Ok(())
    }

    fn fragment(&mut self, fragment: &'a FragmentDefinition, place: Place) -> Result<(), ApiError> {
        let name = &fragment.name;
        if self.open.contains(&name) {
            return Err(refused(format!("spreads the fragment {name} into itself")));
        }
        few(&fragment.directives)?;
        self.open.push(name);
        self.selections(&fragment.selection_set, place)?;
        self.open.pop();
        Ok(())
    }

    fn field(&mut self, field: &'a apollo_compiler::ast::Field, place: Place) -> Result<(), ApiError> {
        if matches!(field.name.as_str(), "__schema" | "__type") && !self.introspection {
            return Err(refused(
                "asks for the schema, which is told only where GRAPHIQL is true",
            ));
        }
        let in_introspection = place.in_introspection || matches!(field.name.as_str(), "__schema" | "__type");
        if in_introspection {
            self.introspected += 1;
        } else {
            self.fields += 1;
        }
        for (selected, most, what) in [
            (self.fields, MAX_FIELDS, "fields"),
            (self.introspected, MAX_INTROSPECTION, "fields of the schema"),
        ] {
            if selected > most {
                return Err(refused(format!("selects more than {most} {what}")));
            }
        }
        let depth = if in_introspection {
            place.depth
        } else {
            place.depth + 1
        };
        if depth > MAX_DEPTH {
            return Err(refused(format!("is nested deeper than {MAX_DEPTH} fields")));
        }
        self.selections(
            &field.selection_set,
            Place {
                depth,
                in_introspection,
                ..place
            },
        )
    }
}

fn few(directives: &DirectiveList) -> Result<(), ApiError> {
    if directives.len() > MAX_DIRECTIVES {
        return Err(refused(format!(
            "has more than {MAX_DIRECTIVES} directives in one place"
        )));
    }
    Ok(())
}
