//! The size of a value as JSON.

use async_graphql::Value;

/// The bytes of a key besides its name: quotes, colon and comma.
pub(super) const KEY: usize = 4;
/// The brackets of an object or a list.
pub(super) const BRACKETS: usize = 2;

/// Returns the bytes of a value, never fewer than it is written with.
pub(super) fn of(value: &Value) -> usize {
    match value {
        Value::Null | Value::Boolean(_) => 5,
        Value::Number(number) => number.to_string().len(),
        Value::String(text) => of_text(text),
        Value::Enum(name) => name.len() + BRACKETS,
        // Binary data is written as an array of numbers.
        Value::Binary(bytes) => bytes.len().saturating_mul(4),
        Value::List(items) => items.iter().fold(BRACKETS, |sum, item| {
            sum.saturating_add(of(item)).saturating_add(1)
        }),
        Value::Object(fields) => fields.iter().fold(BRACKETS, |sum, (key, value)| {
            sum.saturating_add(of_text(key))
                .saturating_add(KEY)
                .saturating_add(of(value))
        }),
    }
}

/// Returns the bytes of a text with its quotes and escapes.
pub(super) fn of_text(text: &str) -> usize {
    text.bytes().fold(BRACKETS, |sum, byte| {
        sum.saturating_add(match byte {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 2,
            0..=31 => 6,
            _ => 1,
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_never_longer_than_it_was_counted() {
        for value in [
            json!(null),
            json!(true),
            json!(false),
            json!(-12.5),
            json!("a\"\\\n\u{1}ä😀"),
            json!([1, [2, []], {}]),
            json!({ "a\n": { "b": [null, "c"] }, "": 18446744073709551615_u64 }),
        ] {
            let written = value.to_string().len();
            let counted = of(&Value::from_json(value).unwrap());
            assert!(
                (written..=2 * written + 8).contains(&counted),
                "{written} {counted}"
            );
        }
    }
}
