//! Checks whether each variable within an input object or a list may stand where it stands.
//!
//! The specification calls this "all variable usages are allowed"
//! (<https://spec.graphql.org/September2025/#sec-All-Variable-Usages-Are-Allowed>). The validator checks it for arguments only, and the
//! engine does not check it at all: `amount: $a` with an `$a` that may be null would be found only when its mutation's turn comes, after
//! those before it were carried out.

use apollo_compiler::ast::{Type, Value, VariableDefinition};
use apollo_compiler::executable::Operation;
use apollo_compiler::{Node, schema as defined};

use super::document::schema;
use super::plan::{Plan, Step};
use super::refused;
use crate::errors::ApiError;

/// Checks every variable in the arguments of an operation.
///
/// # Errors
/// [`ApiError::Validation`] with the variable and the type that its place requires.
pub(super) fn check(plan: &Plan, operation: &Operation) -> Result<(), ApiError> {
    let usages = Usages {
        declared: &operation.variables,
    };
    usages.steps(&plan.steps)
}

struct Usages<'a> {
    declared: &'a [Node<VariableDefinition>],
}

impl Usages<'_> {
    fn steps(&self, steps: &[Step]) -> Result<(), ApiError> {
        steps.iter().try_for_each(|step| {
            for argument in &step.field.arguments {
                if let Some(definition) = step.field.definition.argument_by_name(&argument.name) {
                    let has_default = definition.default_value.is_some();
                    self.value(&argument.value, &definition.ty, has_default)?;
                }
            }
            self.steps(&step.steps)
        })
    }

    /// Recurses as deep as the parser lets values nest.
    fn value(&self, value: &Value, place: &Type, has_default: bool) -> Result<(), ApiError> {
        match value {
            Value::Variable(name) => {
                let declared = self.declared.iter().find(|variable| variable.name == *name);
                match declared {
                    Some(variable) if !is_allowed(variable, place, has_default) => Err(refused(format!(
                        "holds ${name} where a {place} must be; declare it as ${name}: {place}"
                    ))),
                    // The validator has refused undeclared variables.
                    _ => Ok(()),
                }
            }
            Value::List(items) => {
                // A value that is not a list of lists may stand for a list of one.
                let inner = if place.is_list() { place.item_type() } else { place };
                items.iter().try_for_each(|item| self.value(item, inner, false))
            }
            Value::Object(fields) => {
                let Some(defined::ExtendedType::InputObject(object)) =
                    schema()?.types.get(place.inner_named_type())
                else {
                    return Ok(());
                };
                fields.iter().try_for_each(|(name, value)| {
                    object.fields.get(name).map_or(Ok(()), |field| {
                        self.value(value, &field.ty, field.default_value.is_some())
                    })
                })
            }
            _ => Ok(()),
        }
    }
}

fn is_allowed(variable: &VariableDefinition, place: &Type, has_default: bool) -> bool {
    let has_own = variable
        .default_value
        .as_ref()
        .is_some_and(|default| !default.is_null());
    if place.is_non_null() && !variable.ty.is_non_null() && (has_own || has_default) {
        return variable.ty.is_assignable_to(&place.clone().nullable());
    }
    variable.ty.is_assignable_to(place)
}

#[cfg(test)]
mod tests {
    use async_graphql::{Request, Variables};

    use super::super::{Rules, check};

    fn is_taken(query: &str, sent: serde_json::Value) -> bool {
        let rules = Rules {
            introspection: false,
            wallets: 100,
        };
        let request = Request::new(query).variables(Variables::from_json(sent));
        check(&mut { request }, rules).is_ok()
    }

    #[test]
    fn a_variable_within_an_input_is_declared_as_what_its_place_asks_for() {
        let transfer = |declared: &str, input: &str| {
            let query = format!(
                "mutation({declared}) {{ a: transfer(fromWalletId: \"w\", input: {{ toWalletId: \"x\", amount: \"1.00\" }}) {{ id }}
                 b: transfer(fromWalletId: \"w\", input: {{ toWalletId: \"x\", {input} }}) {{ id }} }}"
            );
            // A document is refused for what it declares, whatever is sent with it.
            is_taken(&query, serde_json::json!({}))
        };
        for (declared, input) in [
            ("$a: Decimal", "amount: $a"),
            ("$a: [Decimal!]", "amount: $a"),
            ("$k: [String]", "amount: 1, idempotencyKey: $k"),
            ("$k: Int", "amount: 1, idempotencyKey: $k"),
            ("$a: Decimal, $k: String", "amount: $a, idempotencyKey: $k"),
        ] {
            assert!(!transfer(declared, input), "{declared} {input}");
        }
        for (declared, input) in [
            ("$a: Decimal = \"2.00\"", "amount: $a"),
            ("$k: String", "amount: 1, idempotencyKey: $k"),
            ("$k: String = \"k\"", "amount: 1, idempotencyKey: $k"),
        ] {
            assert!(transfer(declared, input), "{declared} {input}");
        }
    }

    #[test]
    fn what_a_client_keeps_for_itself_asks_for_no_type() {
        for declared in ["$t: String", "$t: [Int]", "$t: JSON!"] {
            let query = format!(
                "mutation({declared}) {{ deposit(walletId: \"w\", input: {{ amount: \"1.00\", metadata: {{ tags: [$t] }} }}) {{ id }} }}"
            );
            let sent = serde_json::json!({ "t": if declared.contains('!') { "x".into() } else { serde_json::Value::Null } });
            assert!(is_taken(&query, sent), "{declared}");
        }
    }

    #[test]
    fn a_variable_of_another_type_is_told_what_its_place_asks_for() {
        let rules = Rules {
            introspection: false,
            wallets: 100,
        };
        let told = |query: &str| {
            let refused = check(&mut { Request::new(query) }, rules).map(drop).unwrap_err();
            refused.to_string()
        };
        let wallet = |ty: &str| told(&format!("query($id: {ty}) {{ wallet(id: $id) {{ id }} }}"));
        for ty in ["ID!", "ID", "Float!", "Int!", "[ID!]!"] {
            let told = wallet(ty);
            for words in ["$id".to_owned(), format!("`{ty}`"), "`String!`".to_owned()] {
                assert!(told.contains(&words), "{ty}: {words} in {told}");
            }
            assert!(!told.contains("cannot find type"), "{ty}: {told}");
        }
        // Within an input, the error names the field and the type that it requires.
        let within = told(
            "mutation($x: ID!) { transfer(fromWalletId: \"w\", input: { toWalletId: $x, amount: \"1.00\" }) { id } }",
        );
        assert!(
            within.contains("toWalletId") && within.contains("String!"),
            "{within}"
        );
        // A name that is no type at all, or no input type, is reported as that.
        assert!(
            wallet("Uuid!").contains("cannot find type `Uuid`"),
            "{}",
            wallet("Uuid!")
        );
        let output = wallet("Wallet!");
        assert!(
            output.contains("`$id` variable must be of an input type"),
            "{output}"
        );
    }
}
