//! Completes an answer as the specification requires (<https://spec.graphql.org/September2025/#sec-Handling-Execution-Errors>).
//!
//! The engine omits a failed field from its object, whatever its type is, and returns fields in the order in which they finish. Here
//! every field of the plan is returned in the order of the selection. A failed field is null; where null is not allowed, its parent
//! is null instead, up to the first that may be.

use apollo_compiler::ast::Type;
use async_graphql::Value;
use async_graphql::indexmap::IndexMap;

use crate::graphql::limits::{Plan, Step};

/// A null where none is allowed: the value that contains it becomes null instead.
struct Unfit;

/// Returns the completed data of an answer to `plan`.
pub(super) fn data(plan: &Plan, found: Value) -> Value {
    object(&plan.steps, found).unwrap_or(Value::Null)
}

/// Returns the results of the root fields that did not fail, by their keys: what a mutation has done although its answer is null.
pub(super) fn succeeded(plan: &Plan, found: &Value) -> Value {
    let Value::Object(found) = found else {
        return Value::Object(IndexMap::new());
    };
    let results = plan.steps.iter().filter_map(|step| {
        let (name, value) = found.get_key_value(step.key.as_str())?;
        let whole = typed(&step.field.definition.ty, step, value.clone()).ok()?;
        (whole != Value::Null).then(|| (name.clone(), whole))
    });
    Value::Object(results.collect())
}

fn object(steps: &[Step], found: Value) -> Result<Value, Unfit> {
    let mut found = match found {
        Value::Object(found) => found,
        // Only the root: any other object that exists has at least its `__exists` field.
        _ => IndexMap::new(),
    };
    let mut whole = IndexMap::with_capacity(steps.len());
    for step in steps {
        let (name, value) = found
            .swap_remove_entry(step.key.as_str())
            .unwrap_or_else(|| (async_graphql::Name::new(&step.key), Value::Null));
        whole.insert(name, typed(&step.field.definition.ty, step, value)?);
    }
    Ok(Value::Object(whole))
}

fn typed(kind: &Type, step: &Step, found: Value) -> Result<Value, Unfit> {
    let completed = match (kind, found) {
        (_, Value::Null) => Value::Null,
        (Type::List(inner) | Type::NonNullList(inner), Value::List(items)) => {
            let items = items.into_iter().map(|item| typed(inner, step, item));
            items.collect::<Result<_, _>>().map_or(Value::Null, Value::List)
        }
        (_, found) if step.field.selection_set.selections.is_empty() => found,
        (_, found) => object(&step.steps, found).unwrap_or(Value::Null),
    };
    if kind.is_non_null() && completed == Value::Null {
        Err(Unfit)
    } else {
        Ok(completed)
    }
}
