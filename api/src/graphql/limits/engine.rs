//! Writes a plan as a document of the engine.

use apollo_compiler::ast::{OperationType, Value as Written};
use apollo_compiler::executable::Operation;
use apollo_compiler::parser::SourceMap;
use apollo_compiler::{Name as ApolloName, Node};
use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, Field, OperationDefinition, OperationType as EngineType,
    Selection, SelectionSet, Type, VariableDefinition,
};
use async_graphql::{Name, Pos, Positioned, Value as ConstValue};
use async_graphql_value::Value;

use super::plan::{Plan, Step};
use crate::errors::ApiError;
use crate::exact;

/// The alias of a field that is added to every object, so that an object whose fields all fail, or are all skipped, can be
/// distinguished from null. [`super::super::answer`] leaves it out again.
const EXISTS: &str = "__exists";

pub(super) const fn kind(operation: OperationType) -> EngineType {
    match operation {
        OperationType::Query => EngineType::Query,
        OperationType::Mutation => EngineType::Mutation,
        OperationType::Subscription => EngineType::Subscription,
    }
}

/// Returns the document that the engine runs: one operation, without fragments and directives.
pub(super) fn document(
    plan: &Plan,
    operation: &Operation,
    sources: &SourceMap,
) -> Result<ExecutableDocument, ApiError> {
    let mut writer = Writer {
        sources,
        used: Vec::new(),
    };
    // A subscription may have one root field only.
    let exists = plan.operation != OperationType::Subscription;
    let selection_set = writer.object(&plan.steps, Pos::default(), exists)?;
    let mut variable_definitions = Vec::new();
    for variable in &operation.variables {
        if writer.used.contains(&variable.name) {
            variable_definitions.push(writer.variable(variable)?);
        }
    }
    let operation = OperationDefinition {
        ty: kind(plan.operation),
        variable_definitions,
        directives: Vec::new(),
        selection_set,
    };
    Ok(ExecutableDocument {
        operations: DocumentOperations::Single(Positioned::new(operation, Pos::default())),
        fragments: Default::default(),
    })
}

struct Writer<'a> {
    sources: &'a SourceMap,
    /// The variables that the document still uses.
    used: Vec<ApolloName>,
}

impl Writer<'_> {
    fn at<T: ?Sized>(&self, node: &Node<T>) -> Pos {
        let place = node.location().and_then(|span| span.line_column(self.sources));
        place.map_or_else(Pos::default, |place| Pos {
            line: place.line,
            column: place.column,
        })
    }

    fn object(
        &mut self,
        steps: &[Step],
        pos: Pos,
        exists: bool,
    ) -> Result<Positioned<SelectionSet>, ApiError> {
        let mut items = Vec::with_capacity(steps.len() + 1);
        if exists {
            let field = Field {
                alias: Some(Positioned::new(Name::new(EXISTS), pos)),
                name: Positioned::new(Name::new("__typename"), pos),
                arguments: Vec::new(),
                directives: Vec::new(),
                selection_set: Positioned::default(),
            };
            items.push(Positioned::new(
                Selection::Field(Positioned::new(field, pos)),
                pos,
            ));
        }
        for step in steps {
            let field = self.field(step)?;
            items.push(Positioned::new(Selection::Field(field.clone()), field.pos));
        }
        Ok(Positioned::new(SelectionSet { items }, pos))
    }

    fn field(&mut self, step: &Step) -> Result<Positioned<Field>, ApiError> {
        let pos = self.at(&step.field);
        let mut arguments = Vec::with_capacity(step.field.arguments.len());
        for argument in &step.field.arguments {
            let place = self.at(argument);
            let value = self.value(&argument.value)?;
            arguments.push((
                Positioned::new(Name::new(&argument.name), place),
                Positioned::new(value, place),
            ));
        }
        let selection_set = if step.field.selection_set.selections.is_empty() {
            Positioned::default()
        } else {
            self.object(&step.steps, pos, true)?
        };
        let field = Field {
            alias: step
                .field
                .alias
                .as_ref()
                .map(|alias| Positioned::new(Name::new(alias), pos)),
            name: Positioned::new(Name::new(&step.field.name), pos),
            arguments,
            directives: Vec::new(),
            selection_set,
        };
        Ok(Positioned::new(field, pos))
    }

    fn variable(
        &mut self,
        variable: &Node<apollo_compiler::ast::VariableDefinition>,
    ) -> Result<Positioned<VariableDefinition>, ApiError> {
        let pos = self.at(variable);
        let written = variable.ty.to_string();
        let var_type = Type::new(&written)
            .ok_or_else(|| ApiError::internal(format!("{written} is no type to the engine")))?;
        let default_value = match &variable.default_value {
            None => None,
            Some(default) => {
                let constant: Option<ConstValue> = self.value(default)?.into_const();
                constant.map(|constant| Positioned::new(constant, pos))
            }
        };
        let definition = VariableDefinition {
            name: Positioned::new(Name::new(&variable.name), pos),
            var_type: Positioned::new(var_type, pos),
            directives: Vec::new(),
            default_value,
        };
        Ok(Positioned::new(definition, pos))
    }

    /// Recurses as deep as the parser lets values nest.
    fn value(&mut self, written: &Written) -> Result<Value, ApiError> {
        let number = |text: &str| exact::number(text).map_err(|why| why.at(exact::Label::of("query")));
        Ok(match written {
            Written::Null => Value::Null,
            Written::Enum(name) => Value::Enum(Name::new(name)),
            Written::Variable(name) => {
                self.used.push(name.clone());
                Value::Variable(Name::new(name))
            }
            Written::String(text) => Value::String(text.clone()),
            Written::Int(text) => Value::Number(number(text.as_str())?),
            Written::Float(text) => Value::Number(number(text.as_str())?),
            Written::Boolean(boolean) => Value::Boolean(*boolean),
            Written::List(items) => Value::List(
                items
                    .iter()
                    .map(|item| self.value(item))
                    .collect::<Result<_, _>>()?,
            ),
            Written::Object(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(name, value)| Ok((Name::new(name), self.value(value)?)))
                    .collect::<Result<_, ApiError>>()?,
            ),
        })
    }
}
