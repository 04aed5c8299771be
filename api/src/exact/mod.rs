//! Reads values of JSON and GraphQL exactly as they were written, or refuses duplicate keys and numbers that would change.
//!
//! JSON leaves both to its readers (RFC 8259, sections 4 and 6). I-JSON (RFC 7493, section 2) requires of senders what is required
//! here: unique names, and numbers beyond the precision of a double as strings.

use async_graphql::indexmap::IndexMap;
use async_graphql::{Name, Value};
use serde_json::Number;
use serde_json::value::RawValue;

use crate::errors::ApiError;

/// The maximum nesting depth of a value.
const MAX_NESTING: usize = 64;
/// The fields that hold the client's own data, whose keys are not fields of the schema.
const CLIENTS_OWN: [&str; 3] = ["metadata", "senderDetails", "receiverDetails"];
/// The field that is an input object within the input; errors name its fields together with it.
const WITHIN: &str = "bankDetails";

/// The reason why a value was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A number that cannot be kept exactly.
    Altered(String),
    /// A duplicate key.
    Twice(String),
    /// A value that is nested too deeply.
    TooDeep,
    /// A JSON string that is not text: half of a surrogate pair stands for no character (RFC 8259, section 8.2).
    NoText,
    /// The text is not JSON.
    Unreadable,
}

impl Refused {
    /// Returns the refusal as an error for the client, with the field it is about.
    pub(crate) fn at(self, label: Label<'_>) -> ApiError {
        let problem = match self {
            Self::Altered(number) => {
                let shown: String = number.chars().take(40).collect();
                format!("holds the number {shown}, which would be altered; send it as a string")
            }
            Self::Twice(key) => {
                let shown: String = key.chars().take(40).collect();
                format!("is given the key {shown} twice")
            }
            Self::TooDeep => {
                return ApiError::validation("body", format!("is nested deeper than {MAX_NESTING} levels"));
            }
            Self::NoText => {
                "is not Unicode text: it holds a lone surrogate, \\ud800 to \\udfff without the other half of its pair".to_owned()
            }
            Self::Unreadable => "must be JSON".to_owned(),
        };
        ApiError::validation(label.written(), problem)
    }
}

/// The field that a value belongs to, as errors name it: the argument, or the field of an `input`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Label<'a> {
    name: &'a str,
    /// The field of the input object within the input, if the value is in one.
    inner: Option<&'a str>,
    /// Whether the fields directly below are named by their own names.
    is_argument: bool,
}

impl<'a> Label<'a> {
    /// Creates the label of an argument or a variable.
    pub(crate) fn of(name: &'a str) -> Self {
        Self {
            name,
            inner: None,
            is_argument: !CLIENTS_OWN.contains(&name),
        }
    }

    /// Returns the label of the value under `name`: directly below an argument it is `name` itself; any deeper value keeps the label of its
    /// parent, except in the input object within the input.
    pub(crate) fn within<'b>(self, name: &'b str) -> Label<'b>
    where
        'a: 'b,
    {
        match self.inner {
            None if self.name == WITHIN => Label {
                name: self.name,
                inner: Some(name),
                is_argument: false,
            },
            None if self.is_argument => Label {
                name,
                inner: None,
                is_argument: false,
            },
            _ => self,
        }
    }

    fn written(self) -> String {
        match self.inner {
            Some(inner) => format!("{}.{inner}", self.name),
            None => self.name.to_owned(),
        }
    }
}

/// Parses a number that can be kept with exactly the written value. It is written the same when PostgreSQL's `jsonb` returns it.
///
/// # Errors
/// [`Refused::Altered`] if another number would be kept: it has more digits than a double holds, or is beyond its range.
pub(crate) fn number(text: &str) -> Result<Number, Refused> {
    if let Ok(whole) = text.parse::<u64>() {
        return Ok(whole.into());
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Ok(whole.into());
    }
    let altered = || Refused::Altered(text.to_owned());
    let double: f64 = text.parse().map_err(|_| altered())?;
    let kept = Number::from_f64(double).ok_or_else(altered)?;
    let written = kept.to_string();
    let wanted = Digits::of(text).ok_or_else(altered)?;
    if Digits::of(&written) != Some(wanted.clone()) {
        return Err(altered());
    }
    if wanted.digits.is_empty() {
        return Ok(Number::from_f64(0.0).unwrap_or(kept));
    }
    // The database returns a whole number that was written with an exponent as an integer.
    if let Some(whole) = wanted.whole().filter(|_| written.contains('e')) {
        return Ok(whole);
    }
    // The fast parser that reads the database's JSON is not exact for every number of more than fifteen digits.
    let read: f64 = serde_json::from_str(&wanted.plain()).map_err(|_| altered())?;
    if read.to_bits() == double.to_bits() {
        Ok(kept)
    } else {
        Err(altered())
    }
}

/// A decimal number as its digits, so that two spellings of one number are equal: ±0.d₁d₂… × 10^exponent.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Digits {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Digits {
    /// Reads a number in the notation of JSON and GraphQL; the caller knows that it is one.
    fn of(text: &str) -> Option<Self> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i64 = exponent.parse().ok()?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let stripped = digits.trim_start_matches('0');
        let leading = i64::try_from(digits.len() - stripped.len()).ok()?;
        let point = i64::try_from(whole.len()).ok()?;
        let significant = stripped.trim_end_matches('0');
        if significant.is_empty() {
            return Some(Self {
                negative: false,
                digits: String::new(),
                exponent: 0,
            });
        }
        Some(Self {
            negative,
            digits: significant.to_owned(),
            exponent: exponent.checked_add(point)?.checked_sub(leading)?,
        })
    }

    /// Returns the number without an exponent, as PostgreSQL writes it: some hundred digits at most, since a double holds it.
    fn plain(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        let digits = &self.digits;
        let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or_default());
        let length = i64::try_from(digits.len()).unwrap_or(i64::MAX);
        if self.exponent <= 0 {
            return format!("{sign}0.{}{digits}", zeros(-self.exponent));
        }
        let whole = usize::try_from(self.exponent.min(length)).unwrap_or_default();
        match digits.split_at_checked(whole) {
            Some((whole, fraction)) if !fraction.is_empty() => format!("{sign}{whole}.{fraction}"),
            _ => format!("{sign}{digits}{}.0", zeros(self.exponent - length)),
        }
    }

    /// Returns the number as an integer, if it is one and fits.
    fn whole(&self) -> Option<Number> {
        let length = usize::try_from(self.exponent)
            .ok()
            .filter(|length| (1..=20).contains(length))?;
        let zeros = length.checked_sub(self.digits.len())?;
        let sign = if self.negative { "-" } else { "" };
        let text = format!("{sign}{}{}", self.digits, "0".repeat(zeros));
        text.parse::<u64>()
            .map(Number::from)
            .or_else(|_| text.parse::<i64>().map(Number::from))
            .ok()
    }
}

/// Reads the variables of a request: one JSON object, or null.
///
/// # Errors
/// [`ApiError::Validation`] with the field that holds a value that cannot be taken as it is written.
pub(crate) fn variables(raw: &RawValue) -> Result<async_graphql::Variables, ApiError> {
    let outer = Label::of("variables");
    if raw.get() == "null" {
        return Ok(async_graphql::Variables::default());
    }
    if !raw.get().starts_with('{') {
        return Err(ApiError::validation("variables", "must be an object"));
    }
    let mut found = async_graphql::Variables::default();
    let mut reader = Reader { rest: raw.get() };
    reader.entries(outer, |reader, name| {
        let label = Label::of(&name);
        let value = reader.value(label, 1)?;
        if found.contains_key(name.as_str()) {
            return Err(Refused::Twice(name.clone()).at(label));
        }
        found.insert(Name::new(name), value);
        Ok(())
    })?;
    Ok(found)
}

/// Reads values in one pass over a text that `serde_json` has already found to be JSON, so it only separates the parts.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn value(&mut self, label: Label<'_>, level: usize) -> Result<Value, ApiError> {
        if level > MAX_NESTING {
            return Err(Refused::TooDeep.at(label));
        }
        let no_text = |_| Refused::NoText.at(label);
        match self.next() {
            Some(b'{') => {
                let mut fields = IndexMap::new();
                self.entries(label, |reader, name| {
                    let label = label.within(&name);
                    let value = reader.value(label, level + 1)?;
                    match fields.insert(Name::new(&name), value) {
                        Some(_) => Err(Refused::Twice(name.clone()).at(label)),
                        None => Ok(()),
                    }
                })?;
                Ok(Value::Object(fields))
            }
            Some(b'[') => {
                let mut items = Vec::new();
                self.skip();
                while self.next().is_some_and(|byte| byte != b']') {
                    items.push(self.value(label, level + 1)?);
                    if self.next() == Some(b',') {
                        self.skip();
                    }
                }
                self.skip();
                Ok(Value::List(items))
            }
            _ => {
                let text = self.token().map_err(|why| why.at(label))?;
                match text.as_bytes().first() {
                    Some(b'"') => Ok(Value::String(serde_json::from_str(text).map_err(no_text)?)),
                    Some(b't') => Ok(Value::Boolean(true)),
                    Some(b'f') => Ok(Value::Boolean(false)),
                    Some(b'n') => Ok(Value::Null),
                    _ => number(text).map(Value::Number).map_err(|why| why.at(label)),
                }
            }
        }
    }

    /// Reads the entries of an object in order, including those with a duplicate key; `each` reads the value.
    fn entries(
        &mut self,
        label: Label<'_>,
        mut each: impl FnMut(&mut Self, String) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        self.skip();
        while self.next().is_some_and(|byte| byte != b'}') {
            let key = self.token().map_err(|why| why.at(label))?;
            let name = serde_json::from_str(key).map_err(|_| Refused::NoText.at(label))?;
            if self.next() == Some(b':') {
                self.skip();
            }
            each(self, name)?;
            if self.next() == Some(b',') {
                self.skip();
            }
        }
        self.skip();
        Ok(())
    }

    /// Skips white space and returns the first byte of what follows.
    fn next(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.as_bytes().first().copied()
    }

    /// Skips one structural character.
    fn skip(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    /// Reads a string, a number, `true`, `false` or `null`.
    fn token(&mut self) -> Result<&'a str, Refused> {
        let mut tokens = serde_json::Deserializer::from_str(self.rest).into_iter::<&RawValue>();
        let Some(Ok(token)) = tokens.next() else {
            return Err(Refused::Unreadable);
        };
        let end = tokens.byte_offset();
        self.rest = self.rest.get(end..).unwrap_or_default();
        Ok(token.get())
    }
}

#[cfg(test)]
mod tests;
