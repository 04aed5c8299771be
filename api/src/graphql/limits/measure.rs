//! Measuring a document: each fragment once, however often it is spread.

use std::collections::HashMap;

use async_graphql::parser::types::{
    Directive, ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet,
};
use async_graphql::{Positioned, Variables};

use super::{
    DEFAULT_PAGE, MAX_DEPTH, MAX_DIRECTIVES, MAX_FIELDS, MAX_INTROSPECTION, MAX_PAGE, MAX_ROWS, refused,
};
use crate::errors::ApiError;

/// The size of a selection set with its fragments put in.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    fields: usize,
    introspection: usize,
    depth: usize,
    rows: usize,
}

impl Size {
    fn add(&mut self, other: Self) {
        self.fields = self.fields.saturating_add(other.fields);
        self.introspection = self.introspection.saturating_add(other.introspection);
        self.depth = self.depth.max(other.depth);
        self.rows = self.rows.saturating_add(other.rows);
    }
}

/// A fragment that was met before.
#[derive(Debug, Clone, Copy)]
enum Met {
    /// Being measured: to meet it again is a circle.
    Open,
    Measured(Size),
}

/// Measures the operations of one document.
pub(super) struct Measurer<'a> {
    document: &'a ExecutableDocument,
    variables: &'a Variables,
    fragments: HashMap<&'a str, Met>,
}

impl<'a> Measurer<'a> {
    pub(super) fn new(document: &'a ExecutableDocument, variables: &'a Variables) -> Self {
        Self {
            document,
            variables,
            fragments: HashMap::new(),
        }
    }

    /// Refuses an operation that is too much in any respect.
    pub(super) fn check(
        &mut self,
        operation: &'a OperationDefinition,
        introspection: bool,
    ) -> Result<(), ApiError> {
        few(&operation.directives)?;
        for variable in &operation.variable_definitions {
            few(&variable.node.directives)?;
        }
        let size = self.set(&operation.selection_set.node)?;
        if size.introspection > 0 && !introspection {
            return Err(refused("asks for the schema, which is not told here"));
        }
        if size.depth > MAX_DEPTH {
            return Err(refused(format!("is nested deeper than {MAX_DEPTH} fields")));
        }
        if size.fields > MAX_FIELDS || size.introspection > MAX_INTROSPECTION {
            return Err(refused(format!("selects more than {MAX_FIELDS} fields")));
        }
        if size.rows > MAX_ROWS {
            return Err(refused(format!(
                "may read more than {MAX_ROWS} rows; ask for smaller pages"
            )));
        }
        Ok(())
    }

    fn set(&mut self, set: &'a SelectionSet) -> Result<Size, ApiError> {
        let mut size = Size::default();
        for selection in &set.items {
            few(selection.node.directives())?;
            size.add(match &selection.node {
                Selection::Field(field) => self.field(&field.node)?,
                Selection::InlineFragment(fragment) => self.set(&fragment.node.selection_set.node)?,
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node)?,
            });
        }
        Ok(size)
    }

    fn field(&mut self, field: &'a Field) -> Result<Size, ApiError> {
        let inner = self.set(&field.selection_set.node)?;
        let name: &str = &field.name.node;
        if matches!(name, "__schema" | "__type") {
            let introspection = inner.fields.saturating_add(inner.introspection).saturating_add(1);
            return Ok(Size {
                introspection,
                ..Size::default()
            });
        }
        let rows = match name {
            "transactions" => self.page(field).saturating_mul(inner.rows.saturating_add(1)),
            "timeline" => inner.rows.saturating_add(1),
            _ => inner.rows,
        };
        Ok(Size {
            fields: inner.fields.saturating_add(1),
            depth: inner.depth.saturating_add(1),
            rows,
            ..inner
        })
    }

    fn fragment(&mut self, name: &'a str) -> Result<Size, ApiError> {
        match self.fragments.get(name) {
            Some(Met::Measured(size)) => return Ok(*size),
            Some(Met::Open) => return Err(refused(format!("spreads the fragment {name} into itself"))),
            None => {}
        }
        // One that does not exist is refused by the engine.
        let Some(fragment) = self.document.fragments.get(name) else {
            return Ok(Size::default());
        };
        self.fragments.insert(name, Met::Open);
        few(&fragment.node.directives)?;
        let size = self.set(&fragment.node.selection_set.node)?;
        self.fragments.insert(name, Met::Measured(size));
        Ok(size)
    }

    /// How many rows a page may have. What is out of bounds is refused by the field itself, with the field's name.
    fn page(&self, field: &Field) -> usize {
        let Some(first) = field.get_argument("first") else {
            return DEFAULT_PAGE;
        };
        let value = first
            .node
            .clone()
            .into_const_with(|name| self.variables.get(&name).cloned().ok_or(()));
        match value {
            Ok(async_graphql::Value::Null) => DEFAULT_PAGE,
            Ok(async_graphql::Value::Number(number)) => number
                .as_u64()
                .and_then(|first| usize::try_from(first).ok())
                .unwrap_or(MAX_PAGE)
                .clamp(1, MAX_PAGE),
            // A variable that was not sent: its default is somewhere, and at most this.
            _ => MAX_PAGE,
        }
    }
}

fn few(directives: &[Positioned<Directive>]) -> Result<(), ApiError> {
    if directives.len() > MAX_DIRECTIVES {
        return Err(refused(format!(
            "has more than {MAX_DIRECTIVES} directives in one place"
        )));
    }
    Ok(())
}
