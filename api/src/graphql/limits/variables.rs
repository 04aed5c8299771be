//! Checks whether the variables have the types that the operation declares for them, before any of it is executed.
//!
//! The specification calls this coercing variable values (<https://spec.graphql.org/September2025/#sec-Coercing-Variable-Values>). The engine
//! checks a value only when it reaches the argument, by the argument's type: a variable of a stricter type would be taken as null, and of two
//! mutations the first would have been carried out when the second cannot be. Our own scalars are left to the arguments, which know their
//! fields.

use apollo_compiler::ast::{Type, Value as Written};
use apollo_compiler::executable::Operation;
use apollo_compiler::{Node, ast, schema as defined};
use async_graphql::indexmap::IndexMap;
use async_graphql::{Name, Value, Variables};
use wallet_core::text_limits::shortened;

use super::document::schema;
use super::plan::{Plan, Step};
use crate::errors::ApiError;

/// The maximum number of bytes of the path to a value, as errors show it.
const MOST_WAY: usize = 200;

/// Checks every variable that an operation declares.
///
/// # Errors
/// [`ApiError::Validation`] with the field of the input that is missing, unknown or of another type.
pub(super) fn check(plan: &Plan, operation: &Operation, sent: &Variables) -> Result<(), ApiError> {
    for declared in &operation.variables {
        let variable = Variable { plan, declared };
        match sent.get(declared.name.as_str()) {
            Some(value) => variable.value(&declared.ty, value, At::Variable)?,
            None if declared.default_value.is_none() && declared.ty.is_non_null() => {
                return Err(variable.wrong(At::Variable, &format!("must be sent: it is a {}", declared.ty)));
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

/// The position of a value within a variable: the fields and list items on the path to it, from the value outward.
#[derive(Debug, Clone, Copy)]
enum At<'a> {
    /// The variable itself.
    Variable,
    /// A field of an input object.
    Field(&'a At<'a>, &'a str),
    /// An item of a list, counted from 0.
    Item(&'a At<'a>, usize),
}

impl At<'_> {
    /// Returns the fields on the path, such as `bankDetails.country`, or `None` if the value is in no input object.
    fn fields(&self) -> Option<String> {
        match self {
            Self::Variable => None,
            Self::Field(object, name) => Some(match object.fields() {
                Some(outer) => format!("{outer}.{name}"),
                None => (*name).to_owned(),
            }),
            Self::Item(list, _) => list.fields(),
        }
    }

    /// Writes the path as a client would: `$input.items[2].amount`.
    fn write(&self, variable: &str, out: &mut String) {
        match self {
            Self::Variable => {
                out.push('$');
                out.push_str(variable);
            }
            Self::Field(object, name) => {
                object.write(variable, out);
                out.push('.');
                out.push_str(name);
            }
            Self::Item(list, place) => {
                list.write(variable, out);
                out.push_str(&format!("[{place}]"));
            }
        }
    }
}

impl Variable<'_> {
    fn value(&self, ty: &Type, value: &Value, at: At<'_>) -> Result<(), ApiError> {
        if matches!(value, Value::Null) {
            return if ty.is_non_null() {
                Err(self.wrong(at, &format!("must not be null: it is a {ty}")))
            } else {
                Ok(())
            };
        }
        let name = match ty {
            Type::List(inner) | Type::NonNullList(inner) => {
                let Value::List(items) = value else {
                    // A value that is not a list stands for a list of one.
                    return self.value(inner, value, at);
                };
                let mut items = items.iter().enumerate();
                return items.try_for_each(|(place, item)| self.value(inner, item, At::Item(&at, place)));
            }
            Type::Named(name) | Type::NonNullNamed(name) => name,
        };
        let fits = match schema()?.types.get(name) {
            Some(defined::ExtendedType::InputObject(object)) => {
                let Value::Object(fields) = value else {
                    return Err(self.wrong(at, &format!("must be an object: it is a {ty}")));
                };
                return self.object(object, fields, at);
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
            Err(self.wrong(at, &format!("must be a {ty}")))
        }
    }

    fn object(
        &self,
        object: &defined::InputObjectType,
        sent: &IndexMap<Name, Value>,
        at: At<'_>,
    ) -> Result<(), ApiError> {
        if let Some(unknown) = sent.keys().find(|key| !object.fields.contains_key(key.as_str())) {
            let problem = format!("is no field of {}", object.name);
            return Err(self.wrong(At::Field(&at, unknown.as_str()), &problem));
        }
        for (name, field) in &object.fields {
            match sent.get(name.as_str()) {
                Some(value) => self.value(&field.ty, value, At::Field(&at, name.as_str()))?,
                None if field.default_value.is_none() && field.ty.is_non_null() => {
                    let problem = format!("is required: it is a {}", field.ty);
                    return Err(self.wrong(At::Field(&at, name.as_str()), &problem));
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Returns the error, with the field of the input that is wrong and the whole path to it. Both hold what the client wrote, so the
    /// size of a request is their only bound; the path is shortened.
    fn wrong(&self, at: At<'_>, problem: &str) -> ApiError {
        let name = self.declared.name.as_str();
        let told = match (argument(&self.plan.steps, name), at.fields()) {
            (Some(place), Some(fields)) => format!("{place}.{fields}"),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => "variables".to_owned(),
        };
        // The argument `input`, which holds the fields, is not named, as in every other refusal.
        let told = told.strip_prefix("input.").unwrap_or(&told).to_owned();
        let mut way = String::new();
        at.write(name, &mut way);
        let way = shortened(&way, MOST_WAY);
        ApiError::validation(told, format!("{problem} (variable {way})"))
    }
}

/// Returns the first argument that a variable stands for, or the path to the field of an input object.
fn argument(steps: &[Step], variable: &str) -> Option<String> {
    steps.iter().find_map(|step| {
        let mut arguments = step.field.arguments.iter();
        let named = arguments.find_map(|argument| place(&argument.name, &argument.value, variable));
        named.or_else(|| argument(&step.steps, variable))
    })
}

/// Returns the path to a variable within a value; recurses as deep as the parser lets values nest.
fn place(name: &str, value: &Written, variable: &str) -> Option<String> {
    match value {
        Written::Variable(found) => (found.as_str() == variable).then(|| name.to_owned()),
        Written::List(items) => items.iter().find_map(|item| place(name, item, variable)),
        Written::Object(fields) => fields
            .iter()
            .find_map(|(inner, value)| place(inner, value, variable))
            .map(|way| format!("{name}.{way}")),
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
        // A variable that has a default or may be null may be omitted, and additional values are ignored.
        let lenient = "query($w: String!, $n: Int = 5, $s: TransactionStatus) { wallet(id: $w) { transactions(first: $n, status: $s) { nodes { id } } } }";
        assert_eq!(told(lenient, &json!({ "w": "w", "more": 1 })), Ok(()));
        assert_eq!(told(lenient, &json!({ "w": "w", "n": null, "s": null })), Ok(()));
    }

    #[test]
    fn a_refusal_names_the_field_within_the_variable() {
        let query = "mutation($i: TransferInput!) { transfer(fromWalletId: \"w\", input: $i) { id } }";
        let rules = Rules {
            introspection: false,
            wallets: 100,
        };
        for (input, field, way) in [
            (
                json!({ "toWalletId": "x", "amount": null }),
                "amount",
                "$i.amount",
            ),
            (json!({ "toWalletId": "x" }), "amount", "$i.amount"),
            (
                json!({ "toWalletId": 5, "amount": "1.00" }),
                "toWalletId",
                "$i.toWalletId",
            ),
            (
                json!({ "toWalletId": "x", "amount": "1.00", "purpose": "y" }),
                "purpose",
                "$i.purpose",
            ),
            (json!("x"), "input", "$i"),
            (json!(null), "input", "$i"),
        ] {
            let request = Request::new(query).variables(Variables::from_json(json!({ "i": input })));
            let refused = check(&mut { request }, rules).map(drop).unwrap_err();
            let ApiError::Validation { field: told, problem } = refused else {
                panic!("{refused:?}");
            };
            assert_eq!(told, field, "{input}");
            assert!(problem.ends_with(&format!("(variable {way})")), "{problem}");
        }
    }

    #[test]
    fn a_field_of_an_input_within_the_input_is_named_with_the_whole_way() {
        let rules = Rules {
            introspection: false,
            wallets: 100,
        };
        let whole = "mutation($v: CreateWalletInput!) { createWallet(input: $v) { id } }";
        let inner = "mutation($v: BankDetailsInput!) { createWallet(input: { bankDetails: $v }) { id } }";
        let single = "mutation($v: String!) { createWallet(input: { bankDetails: { accountName: \"A\", accountNumber: $v } }) { id } }";
        for (query, value) in [
            (whole, json!({ "bankDetails": { "accountName": "A" } })),
            (
                whole,
                json!({ "bankDetails": { "accountName": "A", "accountNumber": 5 } }),
            ),
            (inner, json!({ "accountName": "A" })),
            (inner, json!({ "accountName": "A", "accountNumber": null })),
            (single, json!(null)),
        ] {
            let request = Request::new(query).variables(Variables::from_json(json!({ "v": value })));
            let refused = check(&mut { request }, rules).map(drop).unwrap_err();
            let ApiError::Validation { field, .. } = refused else {
                panic!("{refused:?}");
            };
            assert_eq!(field, "bankDetails.accountNumber", "{query} {value}");
        }
    }

    #[test]
    fn the_way_to_a_value_tells_every_field_and_every_place_of_a_list() {
        let root = At::Variable;
        let items = At::Field(&root, "items");
        let third = At::Item(&items, 2);
        let amount = At::Field(&third, "amount");
        let mut way = String::new();
        amount.write("input", &mut way);
        assert_eq!(way, "$input.items[2].amount");
        assert_eq!(
            (
                amount.fields().as_deref(),
                third.fields().as_deref(),
                root.fields()
            ),
            (Some("items.amount"), Some("items"), None)
        );
    }
}
