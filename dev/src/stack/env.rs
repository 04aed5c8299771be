//! The environment that a stack gives to the programs that run on it.

use std::collections::BTreeMap;
use std::fmt;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// The variables that decide where the system connects and what it trusts: taken from the stack only, never from the shell that
/// starts it. The others (`RUST_LOG`, `LOG_FORMAT`, `WORKER_*`, `OTEL_*`, …) are inherited.
pub const DECIDING: [&str; 18] = [
    "DATABASE_URL",
    "DATABASE_REPLICA_URL",
    "REDIS_URL",
    "REDLOCK_URLS",
    "STRIPE_SECRET_KEY",
    "STRIPE_WEBHOOK_SECRET",
    "STRIPE_API_BASE",
    "ENCRYPTION_SECRET_KEY",
    "ENCRYPTION_PREVIOUS_KEYS",
    "JWT_SECRET",
    "JWT_PUBLIC_KEY",
    "JWT_JWKS",
    "JWT_ISSUER",
    "JWT_AUDIENCE",
    "PORT",
    "METRICS_PORT",
    "RATE_LIMIT_PER_MINUTE",
    "GRAPHIQL",
];

/// Variables and their values. Its `Debug` shows names only, since many values are secrets.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Env(BTreeMap<String, String>);

impl Env {
    /// Returns an empty environment.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns this environment with one more variable, or another value of it.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.set(name, value);
        self
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Removes a variable.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Returns the value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Iterates over all variables, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns this environment overridden by `other`'s variables.
    #[must_use]
    pub fn overlaid(mut self, other: &Self) -> Self {
        self.0.extend(other.0.clone());
        self
    }

    /// Returns `export` lines for a POSIX shell.
    #[must_use]
    pub fn to_shell(&self) -> String {
        self.iter()
            .map(|(name, value)| format!("export {name}='{}'\n", value.replace('\'', r"'\''")))
            .collect()
    }

    /// Gives a command this environment: the deciding variables from here only, the others from the parent unless they are set here.
    pub(crate) fn apply(&self, command: &mut Command) {
        for name in DECIDING {
            command.env_remove(name);
        }
        command.envs(&self.0);
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_lines_survive_quotes() {
        let env = Env::new().with("A", "it's $HOME");
        let output = Command::new("sh")
            .args(["-c", &format!("{}printf %s \"$A\"", env.to_shell())])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "it's $HOME");
    }

    #[test]
    fn debug_shows_no_value() {
        assert_eq!(
            format!("{:?}", Env::new().with("JWT_SECRET", "canary")),
            r#"{"JWT_SECRET"}"#
        );
    }
}
