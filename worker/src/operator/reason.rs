//! Why somebody does something, for those who read the audit trail.

use std::fmt;
use std::str::FromStr;

/// The longest, in characters.
const LONGEST: usize = 500;

/// A sentence that says something: never empty, never blank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reason(String);

impl Reason {
    /// The sentence.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoReason {
    #[error("says nothing")]
    Blank,
    #[error("is longer than {LONGEST} characters")]
    Long,
    #[error("has control characters")]
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
        if text.chars().any(char::is_control) {
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
        assert_eq!("a\nb".parse::<Reason>(), Err(NoReason::Control));
        assert_eq!("a".repeat(501).parse::<Reason>(), Err(NoReason::Long));
    }
}
