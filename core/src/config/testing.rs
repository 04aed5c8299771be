//! Environments for the tests of this module.

use std::collections::HashMap;
use std::ffi::OsString;

use super::{ConfigError, Env};

/// A good encryption key.
pub(super) const KEY: &str = "9c1185a5c5e9fc54612808977ee8f548b2258d31ddadef707ba7a2b8b7e1f0a3";
/// A good token secret.
pub(super) const JWT: &str = "mD3x8Wq0Zr7Yt2Kp5Vn9Lb4Hs6Jf1Gc3";

const GOOD: [(&str, &str); 6] = [
    ("DATABASE_URL", "postgres://wallet@127.0.0.1:5432/wallet"),
    ("REDIS_URL", "redis://127.0.0.1:6379"),
    ("STRIPE_SECRET_KEY", "sk_test_4eC39HqLyjWDarjtT1zdp7dc"),
    ("STRIPE_WEBHOOK_SECRET", "whsec_9f2k5b7q1x8c0a6d"),
    ("ENCRYPTION_SECRET_KEY", KEY),
    ("JWT_SECRET", JWT),
];

/// Only these variables.
pub(super) fn with(values: &[(&str, &str)]) -> impl Env + use<> {
    let values: HashMap<String, OsString> = values
        .iter()
        .map(|(name, value)| ((*name).to_owned(), OsString::from(value)))
        .collect();
    move |name: &str| values.get(name).cloned()
}

/// All that is required.
pub(super) fn good() -> impl Env + use<> {
    with(&GOOD)
}

/// All that is required, with some added or replaced.
pub(super) fn good_with(values: &[(&str, &str)]) -> impl Env + use<> {
    with(&[GOOD.as_slice(), values].concat())
}

/// All that is required, but for some.
pub(super) fn without(names: &[&str]) -> impl Env + use<> {
    let kept: Vec<_> = GOOD
        .into_iter()
        .filter(|(name, _)| !names.contains(name))
        .collect();
    with(&kept)
}

/// The one line with which a program would stop.
pub(super) fn error_of<T>(result: Result<T, ConfigError>) -> String {
    let line = result.err().expect("a configuration that is refused").to_string();
    assert_eq!(line.lines().count(), 1, "{line}");
    line
}
