//! Environments for the tests of the configuration.

use std::collections::HashMap;
use std::ffi::OsString;

use super::{ConfigError, Env};

/// A valid encryption key.
pub(super) const KEY: &str = "9c1185a5c5e9fc54612808977ee8f548b2258d31ddadef707ba7a2b8b7e1f0a3";
/// A valid token secret.
pub(super) const JWT: &str = "mD3x8Wq0Zr7Yt2Kp5Vn9Lb4Hs6Jf1Gc3";

const GOOD: [(&str, &str); 6] = [
    ("DATABASE_URL", "postgres://wallet@127.0.0.1:5432/wallet"),
    ("REDIS_URL", "redis://127.0.0.1:6379"),
    ("STRIPE_SECRET_KEY", "sk_test_4eC39HqLyjWDarjtT1zdp7dc"),
    ("STRIPE_WEBHOOK_SECRET", "whsec_9f2k5b7q1x8c0a6d"),
    ("ENCRYPTION_SECRET_KEY", KEY),
    ("JWT_SECRET", JWT),
];

/// An environment of these variables only.
pub(super) fn with(values: &[(&str, &str)]) -> impl Env + use<> {
    let values: HashMap<String, OsString> = values
        .iter()
        .map(|(name, value)| ((*name).to_owned(), OsString::from(value)))
        .collect();
    move |name: &str| values.get(name).cloned()
}

/// An environment of all required variables.
pub(super) fn good() -> impl Env + use<> {
    with(&GOOD)
}

/// An environment of all required variables, with some added or replaced.
pub(super) fn good_with(values: &[(&str, &str)]) -> impl Env + use<> {
    with(&[GOOD.as_slice(), values].concat())
}

/// An environment of all required variables but for some.
pub(super) fn without(names: &[&str]) -> impl Env + use<> {
    let kept: Vec<_> = GOOD
        .into_iter()
        .filter(|(name, _)| !names.contains(name))
        .collect();
    with(&kept)
}

/// Returns the one line with which a program would stop.
pub(super) fn error_of<T>(result: Result<T, ConfigError>) -> String {
    let line = result.err().expect("a configuration that is refused").to_string();
    assert_eq!(line.lines().count(), 1, "{line}");
    line
}
