//! A variable that stops the start.

/// The exit code of a program that was given a configuration it refuses (`EX_CONFIG` of sysexits.h).
pub const CONFIG_EXIT_CODE: u8 = 78;

/// A missing or unsafe variable, in one line: which, what is wrong, what to do. Never holds the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {problem}; {mend}")]
pub struct ConfigError {
    /// The variable's name.
    pub variable: &'static str,
    /// What is wrong with it, such as `is empty`.
    pub problem: String,
    /// What to do, in the imperative.
    pub mend: String,
}

impl ConfigError {
    pub(super) fn new(variable: &'static str, problem: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            variable,
            problem: problem.into(),
            mend: mend.into(),
        }
    }
}
