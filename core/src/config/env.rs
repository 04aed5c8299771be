//! Reads variables through a look-up function, so that tests need no process environment.

use std::ffi::OsString;
use std::fmt::Display;
use std::str::FromStr;

use secrecy::SecretString;

use super::ConfigError;

/// The source of variables.
pub trait Env {
    /// Returns the value of a variable, if it is set.
    fn get(&self, name: &str) -> Option<OsString>;
}

impl<F: Fn(&str) -> Option<OsString>> Env for F {
    fn get(&self, name: &str) -> Option<OsString> {
        self(name)
    }
}

/// The environment of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnv;

impl Env for ProcessEnv {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    fn get(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }
}

/// Returns the value as text. An empty value counts as not set, except in [`required`], which distinguishes the two.
fn text(env: &dyn Env, name: &'static str) -> Result<Option<String>, ConfigError> {
    let Some(value) = env.get(name) else {
        return Ok(None);
    };
    match value.into_string() {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(_) => Err(ConfigError::new(name, "is not UTF-8", "set it to plain text")),
    }
}

pub(super) fn optional(env: &dyn Env, name: &'static str) -> Result<Option<String>, ConfigError> {
    Ok(text(env, name)?.filter(|value| !value.is_empty()))
}

pub(super) fn required(env: &dyn Env, name: &'static str, fix: &str) -> Result<String, ConfigError> {
    match text(env, name)? {
        Some(value) if value.is_empty() => Err(ConfigError::new(name, "is empty", fix)),
        Some(value) => Ok(value),
        None => Err(ConfigError::new(name, "is not set", fix)),
    }
}

/// Returns the parsed value of a variable, or `default` if it is not set.
pub(super) fn parsed<T>(env: &dyn Env, name: &'static str, default: T, fix: &str) -> Result<T, ConfigError>
where
    T: FromStr,
    T::Err: Display,
{
    match optional(env, name)? {
        None => Ok(default),
        // {:?} keeps the message on one line whatever the value is.
        Some(value) => value
            .parse()
            .map_err(|_| ConfigError::new(name, format!("{value:?} is not understood"), fix)),
    }
}

pub(super) fn flag(env: &dyn Env, name: &'static str) -> Result<bool, ConfigError> {
    match optional(env, name)?
        .map(|value| value.to_ascii_lowercase())
        .as_deref()
    {
        None | Some("false" | "0" | "no" | "off") => Ok(false),
        Some("true" | "1" | "yes" | "on") => Ok(true),
        Some(value) => Err(ConfigError::new(
            name,
            format!("{value:?} is not understood"),
            "set it to true or false",
        )),
    }
}

/// Reads a comma-separated list of secrets; spaces around items and empty items are dropped.
pub(super) fn secret_list(env: &dyn Env, name: &'static str) -> Result<Vec<SecretString>, ConfigError> {
    let text = optional(env, name)?.unwrap_or_default();
    Ok(items(&text).map(SecretString::from).collect())
}

pub(super) fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}
