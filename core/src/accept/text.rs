//! Limits on what a client may attach to a request.

use serde_json::Value;

use super::AcceptError;
use crate::characters;

/// The maximum length of a reference in characters, which is the column's width.
const REFERENCE_CHARS: usize = 255;
/// The maximum length of a description in characters.
const DESCRIPTION_CHARS: usize = 1000;
/// The maximum size of a JSON value in bytes, as it is written out.
const JSON_BYTES: usize = 16 * 1024;
/// The maximum nesting depth of a JSON value.
const JSON_DEPTH: usize = 16;

/// Checks the length of a line of text, and that no characters hide or reorder what a person reads.
pub(super) fn line(field: &'static str, text: Option<&str>, most: usize) -> Result<(), AcceptError> {
    let Some(text) = text else { return Ok(()) };
    if text.chars().count() > most {
        return Err(AcceptError::validation(
            field,
            format!("is longer than {most} characters"),
        ));
    }
    if characters::deceive(text) {
        return Err(AcceptError::validation(
            field,
            "contains control characters, or invisible ones that nothing in it needs; remove them",
        ));
    }
    Ok(())
}

pub(super) fn reference(text: Option<&str>) -> Result<(), AcceptError> {
    line("reference", text, REFERENCE_CHARS)
}

pub(super) fn description(text: Option<&str>) -> Result<(), AcceptError> {
    line("description", text, DESCRIPTION_CHARS)
}

/// Checks a JSON value: it must be an object, small, shallow, and without NUL, which PostgreSQL cannot store.
pub(super) fn object(field: &'static str, value: Option<&Value>) -> Result<(), AcceptError> {
    let Some(value) = value else { return Ok(()) };
    if !value.is_object() {
        return Err(AcceptError::validation(field, "must be a JSON object"));
    }
    if depth_exceeds(value, JSON_DEPTH) {
        return Err(AcceptError::validation(
            field,
            format!("is nested deeper than {JSON_DEPTH} levels"),
        ));
    }
    let written = value.to_string();
    if written.len() > JSON_BYTES {
        return Err(AcceptError::validation(
            field,
            format!("is larger than {JSON_BYTES} bytes"),
        ));
    }
    if has_nul(value) {
        return Err(AcceptError::validation(
            field,
            "contains a NUL character; remove it",
        ));
    }
    Ok(())
}

fn depth_exceeds(value: &Value, left: usize) -> bool {
    let deeper = |inner: &Value| left == 0 || depth_exceeds(inner, left.saturating_sub(1));
    match value {
        Value::Array(items) => items.iter().any(deeper),
        Value::Object(fields) => fields.values().any(deeper),
        _ => false,
    }
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(key, inner)| key.contains('\0') || has_nul(inner)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_that_deceives_or_overflows_is_refused() {
        for wrong in ["a\0b", "rent\u{202E}tner", "zero\u{200B}width", &"x".repeat(256)] {
            assert!(reference(Some(wrong)).is_err(), "{wrong:?}");
        }
        assert!(description(Some(&"x".repeat(1_000_000))).is_err());
        assert!(reference(Some("Miete März 2026 – Wohnung 3")).is_ok());
        assert!(reference(None).is_ok());
    }

    #[test]
    fn json_is_bounded_in_depth_and_size() {
        let mut deep = json!({});
        for _ in 0..17 {
            deep = json!({ "a": deep });
        }
        assert!(object("metadata", Some(&deep)).is_err());
        assert!(object("metadata", Some(&json!({ "a": "x".repeat(20_000) }))).is_err());
        assert!(object("metadata", Some(&json!({ "a\0": 1 }))).is_err());
        assert!(object("metadata", Some(&json!([1]))).is_err());
        assert!(object("metadata", Some(&json!({ "lease": { "unit": 3 } }))).is_ok());
    }
}
