//! Whether the variables are values of the types that the operation declares for them, before anything of it is executed.
//!
//! This is what the specification calls coercing variable values
//! (<https://spec.graphql.org/September2025/#sec-Coercing-Variable-Values>). The engine looks at a value only when it comes to the argument, by
//! the argument's type: a variable of a stricter type would be taken as null, and of two mutations the first would have been carried out
//! when the second cannot be. Scalars of our own are left to the arguments, which know their fields.

use apollo_compiler::ast::{Type, Value as Written};
use apollo_compiler::executable::Operation;
use apollo_compiler::{Node, ast, schema as defined};
use async_graphql::indexmap::IndexMap;
use async_graphql::{Name, Value, Variables};

use super::document::schema;
use super::plan::{Plan, Step};
use crate::errors::ApiError;

/// Checks every variable that an operation declares.
///
/// # Errors
/// [`ApiError::Validation`] with the field of the input that is missing, unknown or of another type.
pub(super) fn check(plan: &Plan, operation: &Operation, sent: &Variables) -> Result<(), ApiError> {
    for declared in &operation.variables {
        let variable = Variable { plan, declared };
        match sent.get(declared.name.as_str()) {
            Some(value) => variable.value(&declared.ty, value, None)?,
            None if declared.default_value.is_none() && declared.ty.is_non_null() => {
                return Err(variable.wrong(None, &format!("must be sent: it is a {}", declared.ty)));
            }
            None => {}
        }
    }
    Ok(())
}

struct Variable<'a> {
    plan: &'a Plan,
    declared: &'a Node<ast::VariableDefinition>,
}

impl Variable<'_> {
    /// `field`: the field of an input object that the value is, if it is within one.
    fn value(&self, ty: &Type, value: &Value, field: Option<&str>) -> Result<(), ApiError> {
        if matches!(value, Value::Null) {
            return if ty.is_non_null() {
                Err(self.wrong(field, &format!("must not be null: it is a {ty}")))
            } else {
                Ok(())
            };
        }
        let name = match ty {
            Type::List(inner) | Type::NonNullList(inner) => {
                // One that is no list stands for a list of one.
                let one = std::slice::from_ref(value);
                let items = if let Value::List(items) = value {
                    items
                } else {
                    one
                };
                return items.iter().try_for_each(|item| self.value(inner, item, field));
            }
            Type::Named(name) | Type::NonNullNamed(name) => name,
        };
        let fits = match schema()?.types.get(name) {
            Some(defined::ExtendedType::InputObject(object)) => {
                let Value::Object(fields) = value else {
                    return Err(self.wrong(field, &format!("must be an object: it is a {ty}")));
                };
                return self.object(object, fields);
            }
            Some(defined::ExtendedType::Enum(words)) => match value {
                Value::String(word) => words.values.contains_key(word.as_str()),
                Value::Enum(word) => words.values.contains_key(word.as_str()),
                _ => false,
            },
            _ => match (name.as_str(), value) {
                ("Int", Value::Number(number)) => {
                    number.as_i64().is_some_and(|whole| i32::try_from(whole).is_ok())
                }
                ("Float", Value::Number(_)) | ("Boolean", Value::Boolean(_)) => true,
                ("String" | "ID", Value::String(_)) => true,
                ("ID", Value::Number(number)) => number.is_i64() || number.is_u64(),
                ("Int" | "Float" | "Boolean" | "String" | "ID", _) => false,
                _ => true,
            },
        };
        if fits {
            Ok(())
        } else {
            Err(self.wrong(field, &format!("must be a {ty}")))
        }
    }

    fn object(
        &self,
        object: &defined::InputObjectType,
        sent: &IndexMap<Name, Value>,
    ) -> Result<(), ApiError> {
        if let Some(unknown) = sent.keys().find(|key| !object.fields.contains_key(key.as_str())) {
            let problem = format!("is no field of {}", object.name);
            return Err(self.wrong(Some(unknown.as_str()), &problem));
        }
        for (name, field) in &object.fields {
            match sent.get(name.as_str()) {
                Some(value) => self.value(&field.ty, value, Some(name.as_str()))?,
                None if field.default_value.is_none() && field.ty.is_non_null() => {
                    let problem = format!("is required: it is a {}", field.ty);
                    return Err(self.wrong(Some(name.as_str()), &problem));
                }
                None => {}
            }
        }
        Ok(())
    }

    /// What is wrong, with the field of the input that it is wrong for.
    fn wrong(&self, field: Option<&str>, problem: &str) -> ApiError {
        let name = &self.declared.name;
        let told = field.or_else(|| argument(&self.plan.steps, name.as_str()));
        ApiError::validation(
            told.unwrap_or("variables").to_owned(),
            format!("{problem} (variable ${name})"),
        )
    }
}

/// The argument, or the field of an input object, that a variable stands for first.
fn argument<'a>(steps: &'a [Step], variable: &str) -> Option<&'a str> {
    steps.iter().find_map(|step| {
        let mut arguments = step.field.arguments.iter();
        let named = arguments.find_map(|argument| place(&argument.name, &argument.value, variable));
        named.or_else(|| argument(&step.steps, variable))
    })
}

/// The name at which a variable stands within a value; values nest as deep as the parser lets them.
fn place<'a>(name: &'a str, value: &'a Written, variable: &str) -> Option<&'a str> {
    match value {
        Written::Variable(found) => (found.as_str() == variable).then_some(name),
        Written::List(items) => items.iter().find_map(|item| place(name, item, variable)),
        Written::Object(fields) => fields
            .iter()
            .find_map(|(name, value)| place(name, value, variable)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::Request;
    use serde_json::json;

    use super::super::{Rules, check};
    use super::*;

    /// <https://spec.graphql.org/September2025/#sec-Coercing-Variable-Values>: a value that its declared type does not take, or one that is
    /// missing, is an error of the request, before anything is executed.
    #[test]
    fn variables_are_values_of_the_types_that_are_declared_for_them() {
        let transfer = "mutation($w: String!, $x: String!, $a: Decimal!, $k: String!) { transfer(fromWalletId: $w, input: { toWalletId: $x, \
                        amount: $a, idempotencyKey: $k }) { id } }";
        let refund =
            "mutation($d: String!, $a: Decimal!) { refund(transactionId: $d, input: { amount: $a }) { id } }";
        let list = "query($w: String!, $s: TransactionStatus!, $n: Int!) { wallet(id: $w) { transactions(status: $s, first: $n) { nodes { id } } } }";
        let two = "mutation($w: String!, $i: TransferInput!, $j: TransferInput!) { a: transfer(fromWalletId: $w, input: $i) { id } \
                   b: transfer(fromWalletId: $w, input: $j) { id } }";
        let input = json!({ "toWalletId": "x", "amount": "1.00" });
        let right = json!({ "w": "w", "x": "x", "a": "1.00", "k": "k", "d": "d", "s": "FAILED", "n": 5, "i": input, "j": input });
        let rules = Rules {
            introspection: false,
            wallets: 100,
        };
        let told = |query: &str, variables: &serde_json::Value| {
            let request = Request::new(query).variables(Variables::from_json(variables.clone()));
            check(&mut { request }, rules)
                .map(drop)
                .map_err(|error| match error {
                    ApiError::Validation { field, .. } => field.into_owned(),
                    other => panic!("{other:?}"),
                })
        };
        for query in [transfer, refund, list, two] {
            assert_eq!(told(query, &right), Ok(()), "{query}");
        }
        let null = json!(null);
        for (query, name, value, field) in [
            (transfer, "k", Some(&null), "idempotencyKey"),
            (transfer, "k", None, "idempotencyKey"),
            (transfer, "k", Some(&json!(5)), "idempotencyKey"),
            (transfer, "a", Some(&null), "amount"),
            (transfer, "w", Some(&json!(["w"])), "fromWalletId"),
            (refund, "a", Some(&null), "amount"),
            (refund, "a", None, "amount"),
            (list, "s", Some(&null), "status"),
            (list, "s", Some(&json!("LOST")), "status"),
            (list, "n", Some(&json!(2_147_483_648_u64)), "first"),
            (list, "n", Some(&json!("5")), "first"),
            (list, "n", None, "first"),
            (two, "j", None, "input"),
            (two, "j", Some(&json!("x")), "input"),
            (two, "j", Some(&json!({ "toWalletId": "x" })), "amount"),
            (
                two,
                "j",
                Some(&json!({ "toWalletId": "x", "amount": null })),
                "amount",
            ),
            (
                two,
                "j",
                Some(&json!({ "toWalletId": "x", "amount": "1.00", "purpose": "y" })),
                "purpose",
            ),
        ] {
            let mut wrong = right.clone();
            match value {
                Some(value) => wrong[name] = value.clone(),
                None => drop(wrong.as_object_mut().unwrap().remove(name)),
            }
            assert_eq!(told(query, &wrong), Err(field.to_owned()), "{name} {value:?}");
        }
        // What has a default, or may be null, may be left out, and what is sent beside is nobody's.
        let lenient = "query($w: String!, $n: Int = 5, $s: TransactionStatus) { wallet(id: $w) { transactions(first: $n, status: $s) { nodes { id } } } }";
        assert_eq!(told(lenient, &json!({ "w": "w", "more": 1 })), Ok(()));
        assert_eq!(told(lenient, &json!({ "w": "w", "n": null, "s": null })), Ok(()));
    }
}
