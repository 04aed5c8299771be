//! Reads a document: parses it within bounds, then validates it against the schema by the rules of the GraphQL specification.
//!
//! Both are done by apollo-compiler. Its parser counts tokens and depth while it reads, keeps the digits of numbers and every field
//! of an input object, and reads surrogate pairs; the engine's own parser does none of this, and is not used for requests.

use std::sync::LazyLock;

use apollo_compiler::ast::Document;
use apollo_compiler::diagnostic::{Diagnostic, ToCliReport};
use apollo_compiler::executable::ExecutableDocument;
use apollo_compiler::parser::Parser;
use apollo_compiler::validation::{DiagnosticData, Valid};
use apollo_compiler::{Schema, ast};

use super::refused;
use crate::errors::ApiError;
use crate::graphql::sdl;

/// The maximum nesting depth of selections, values and types as they are written.
pub(super) const MAX_NESTING: usize = 64;
/// The maximum number of tokens in a document, including white space and commas: the largest metadata still fits.
pub(super) const MAX_TOKENS: usize = 20_000;
/// The maximum number of characters in a message about a document, since the message quotes what the client wrote.
const MAX_MESSAGE: usize = 300;

/// The built-in scalars of the specification (<https://spec.graphql.org/September2025/#sec-Scalars.Built-in-Scalars>).
const BUILT_IN: [&str; 5] = ["Int", "Float", "String", "Boolean", "ID"];

/// The schema that is served, as the validator uses it.
static SCHEMA: LazyLock<Result<Valid<Schema>, String>> = LazyLock::new(|| {
    Schema::parse_and_validate(sdl(), "schema.graphql").map_err(|refused| refused.errors.to_string())
});

/// Returns the schema, read from its own definition language.
///
/// # Errors
/// [`ApiError::Internal`] if the schema that is served cannot be read back, which a test rules out.
pub(super) fn schema() -> Result<&'static Valid<Schema>, ApiError> {
    SCHEMA
        .as_ref()
        .map_err(|problem| ApiError::internal(problem.clone()))
}

/// Parses a document within bounds.
pub(super) fn parse(query: &str) -> Result<Document, ApiError> {
    let mut parser = Parser::new().recursion_limit(MAX_NESTING).token_limit(MAX_TOKENS);
    let parsed = parser.parse_ast(query, "query");
    if parser.recursion_reached() > MAX_NESTING {
        return Err(refused(format!("is nested deeper than {MAX_NESTING} levels")));
    }
    if parser.tokens_reached() > MAX_TOKENS {
        return Err(refused(format!("has more than {MAX_TOKENS} tokens")));
    }
    let document = parsed.map_err(|broken| {
        let problem = broken.errors.iter().next().map(|error| error.error.to_string());
        refused(shortened(&format!(
            "cannot be parsed: {}",
            problem.as_deref().unwrap_or("nothing can be read")
        )))
    })?;
    // The parser accepts an empty text, but it is not a request.
    if document.definitions.is_empty() {
        return Err(refused("cannot be parsed: it holds no operation"));
    }
    Ok(document)
}

/// Validates a document against the schema.
pub(super) fn validated(document: &Document) -> Result<Valid<ExecutableDocument>, ApiError> {
    document.to_executable_validate(schema()?).map_err(|invalid| {
        // Misspellings come before their consequences: a selection whose only field does not exist is empty, too.
        let told = invalid.errors.iter().min_by_key(|error| follows(error));
        let Some(first) = told else {
            return refused("is not valid");
        };
        // Only a variable at a place that requires no type gets here, such as one within metadata: other places have an error of their own.
        if let Some(name) = unasked_for(&first) {
            return refused(format!(
                "is not valid{}: a variable is declared as {name}, and no place of this schema takes one; declare it with a \
                 type of this schema, that of the argument or field at which it stands",
                place(&first)
            ));
        }
        ApiError::validation(
            field_of(document, &first),
            shortened(&format!("is not valid{}: {}", place(&first), first.error)),
        )
    })
}

/// Returns the position of an error in the document, if it is known.
fn place(error: &Diagnostic<'_, DiagnosticData>) -> String {
    let range = error.line_column_range();
    range.map_or_else(String::new, |range| {
        format!(" at line {}, column {}", range.start.line, range.start.column)
    })
}

/// Returns whether an error may be the consequence of another one.
fn follows(error: &Diagnostic<'_, DiagnosticData>) -> bool {
    matches!(
        error.error.unstable_error_name(),
        Some("MissingSubselection" | "UnusedVariable" | "UnusedFragment")
    ) || unasked_for(error).is_some()
}

/// Returns the built-in type that a variable is declared with although the schema does not use it. The validator reports such a type as
/// undefined; the client needs to know which type the variable's place requires
/// (<https://spec.graphql.org/September2025/#sec-All-Variable-Usages-Are-Allowed>).
fn unasked_for(error: &Diagnostic<'_, DiagnosticData>) -> Option<&'static str> {
    if error.error.unstable_error_name() != Some("UndefinedDefinition") {
        return None;
    }
    let told = error.error.to_string();
    let name = told.split('`').nth(1)?;
    BUILT_IN.into_iter().find(|known| *known == name)
}

fn shortened(message: &str) -> String {
    message.chars().take(MAX_MESSAGE).collect()
}

/// Returns the field of the input that an error is about: a missing or unknown field by its name, otherwise the field at the position
/// of the error.
fn field_of(document: &Document, error: &Diagnostic<'_, DiagnosticData>) -> String {
    let found = match error.error.unstable_error_name() {
        Some(
            "RequiredArgument"
            | "RequiredField"
            | "UndefinedInputValue"
            | "UndefinedArgument"
            | "UniqueArgument",
        ) => last_name(&error.error.to_string()),
        Some("UnsupportedValueType" | "UndefinedEnumValue" | "IntCoercionError" | "FloatCoercionError") => {
            value_at(document, error)
        }
        _ => None,
    };
    found.unwrap_or_else(|| "query".to_owned())
}

/// Returns the argument, or the field of an `input`, whose value an error is about.
fn value_at(document: &Document, error: &Diagnostic<'_, DiagnosticData>) -> Option<String> {
    let offset = error.error.location()?.offset();
    document
        .definitions
        .iter()
        .find_map(|definition| match definition {
            ast::Definition::OperationDefinition(operation) => argument_at(&operation.selection_set, offset),
            ast::Definition::FragmentDefinition(fragment) => argument_at(&fragment.selection_set, offset),
            _ => None,
        })
}

/// Returns the name in the first quotes of a message, without its type: `amount` of "the required field `TransferInput.amount` is not provided".
fn last_name(message: &str) -> Option<String> {
    let quoted = message.split('`').nth(1)?;
    let inside = quoted.split_once('(').map_or(quoted, |(_, argument)| argument);
    let name = inside.rsplit('.').next()?.trim_end_matches([':', ')']);
    Some(name.to_owned())
}

/// Returns the argument, or the field of an `input`, at a position of the text.
fn argument_at(selections: &[ast::Selection], offset: usize) -> Option<String> {
    let holds = |value: &apollo_compiler::Node<ast::Value>| {
        value
            .location()
            .is_some_and(|span| (span.offset()..span.end_offset().max(span.offset() + 1)).contains(&offset))
    };
    for selection in selections {
        let found = match selection {
            ast::Selection::Field(field) => field
                .arguments
                .iter()
                .find(|argument| holds(&argument.value))
                .map(|argument| match argument.value.as_ref() {
                    ast::Value::Object(fields) => fields
                        .iter()
                        .find(|(_, value)| holds(value))
                        .map_or_else(|| argument.name.to_string(), |(name, _)| name.to_string()),
                    _ => argument.name.to_string(),
                })
                .or_else(|| argument_at(&field.selection_set, offset)),
            ast::Selection::InlineFragment(fragment) => argument_at(&fragment.selection_set, offset),
            ast::Selection::FragmentSpread(_) => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_that_is_served_can_be_read_and_has_nothing_but_objects() {
        let schema = schema().unwrap();
        // A plan ignores the type conditions of fragments, which would be wrong with an interface or a union.
        assert!(
            schema
                .types
                .values()
                .all(|kind| !kind.is_interface() && !kind.is_union())
        );
    }

    #[test]
    fn names_are_found_in_messages() {
        for (message, name) in [
            (
                "the required field `TransferInput.amount` is not provided",
                "amount",
            ),
            ("the required argument `Query.wallet(id:)` is not provided", "id"),
            ("field `balance` does not exist on `DepositInput`", "balance"),
        ] {
            assert_eq!(last_name(message).as_deref(), Some(name));
        }
    }

    #[test]
    fn whatever_nests_is_bounded_while_it_is_read() {
        for open in [
            "{",
            "{a(b:[",
            "[",
            "query($a:",
            "{...",
            "{a(b:{c:",
            "query($a:[",
            "{a@b(c:[",
        ] {
            for close in ["", "}", "]", ")"] {
                let levels = 20_000;
                let text = format!("{}{}", open.repeat(levels), close.repeat(levels));
                assert!(
                    parse(text.get(..65_536).unwrap_or(&text)).is_err(),
                    "{open} {close}"
                );
            }
        }
    }
}
