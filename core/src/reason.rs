//! The reason for an action, as the audit trail records it: one rule for the operators' commands and for mutations.

use std::fmt;
use std::str::FromStr;

use crate::characters::deceive;

/// The maximum length, in characters.
const LONGEST: usize = 500;

/// A meaningful line of text: it contains a letter or a digit, has at most 500 characters, and contains no control characters and no characters
/// that hide or reorder text. Surrounding whitespace is trimmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text cannot be a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoReason {
    /// It has neither a letter nor a digit.
    #[error("says nothing; say why")]
    Blank,
    /// It is too long.
    #[error("is longer than {LONGEST} characters")]
    Long,
    /// It contains control characters (such as line breaks), or other characters that deceive its reader.
    #[error("contains control characters, or invisible ones that nothing in it needs; remove them")]
    Control,
}

impl FromStr for Reason {
    type Err = NoReason;

    fn from_str(text: &str) -> Result<Self, NoReason> {
        let text = text.trim();
        if !text.chars().any(char::is_alphanumeric) {
            return Err(NoReason::Blank);
        }
        if text.chars().count() > LONGEST {
            return Err(NoReason::Long);
        }
        if text.chars().any(char::is_control) || deceive(text) {
            return Err(NoReason::Control);
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_something() {
        assert_eq!(
            "  a refund, by phone ".parse::<Reason>().unwrap().as_str(),
            "a refund, by phone"
        );
        for nothing in ["", " ", "\t\n", "-", "...", "\u{a0}"] {
            assert_eq!(nothing.parse::<Reason>(), Err(NoReason::Blank), "{nothing:?}");
        }
        for deceiving in ["a\nb", "a\tb", "a\0b", "rent\u{202E}tner", "zero\u{200B}width"] {
            assert_eq!(
                deceiving.parse::<Reason>(),
                Err(NoReason::Control),
                "{deceiving:?}"
            );
        }
        assert!("a".repeat(500).parse::<Reason>().is_ok());
        assert_eq!("a".repeat(501).parse::<Reason>(), Err(NoReason::Long));
    }
}
