//! The error of a missing or unsafe variable, with which a program does not start.

/// The exit code of a program that refuses its configuration (`EX_CONFIG` of sysexits.h).
pub const CONFIG_EXIT_CODE: u8 = 78;

/// A missing or unsafe variable, described in one line: its name, the problem, the fix. Never holds the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {problem}; {fix}")]
pub struct ConfigError {
    /// The variable's name.
    pub variable: &'static str,
    /// The problem, such as `is empty`.
    pub problem: String,
    /// What the operator must do, in the imperative.
    pub fix: String,
}

impl ConfigError {
    pub(super) fn new(variable: &'static str, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            variable,
            problem: problem.into(),
            fix: fix.into(),
        }
    }
}
