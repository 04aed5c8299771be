//! `ENCRYPTION_SECRET_KEY` and `ENCRYPTION_PREVIOUS_KEYS`.

use secrecy::ExposeSecret;

use super::env::{required, secret_list};
use super::{ConfigError, Env};
use crate::crypto::{KeyMaterial, KeyProblem, WrappingKeys};

pub(super) const KEY: &str = "ENCRYPTION_SECRET_KEY";
const PREVIOUS: &str = "ENCRYPTION_PREVIOUS_KEYS";

/// Reads the current wrapping key and the retired ones.
///
/// # Errors
/// When the current key is missing, or a key is not 32 bytes long or is too weak to use.
pub(super) fn wrapping_keys(env: &dyn Env) -> Result<WrappingKeys, ConfigError> {
    let current = required(env, KEY, KeyProblem::FIX)?;
    let current = KeyMaterial::parse(&current)
        .map_err(|problem| ConfigError::new(KEY, problem.to_string(), KeyProblem::FIX))?;
    let previous = secret_list(env, PREVIOUS)?
        .iter()
        .map(|key| KeyMaterial::parse(key.expose_secret()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|problem| {
            ConfigError::new(
                PREVIOUS,
                format!("holds a key that {problem}"),
                "list the retired keys, separated by commas",
            )
        })?;
    Ok(WrappingKeys::new(current, previous))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{KEY as GOOD, error_of, with};

    #[test]
    fn unsafe_keys_stop_the_start_with_the_mend() {
        assert!(wrapping_keys(&with(&[(KEY, GOOD)])).is_ok());
        for (value, problem) in [
            ("", "is empty"),
            (
                "your_32_character_encryption_key_here",
                "is a placeholder, not a key",
            ),
            (&"0".repeat(64), "is all zeros"),
            (&"a".repeat(32), "follows a pattern anyone would guess"),
            (
                "hunter2",
                "is not 32 bytes (64 hex digits, base64, or 32 characters)",
            ),
        ] {
            let line = error_of(wrapping_keys(&with(&[(KEY, value)])));
            assert_eq!(
                line,
                format!("{KEY}: {problem}; make a new one with `openssl rand -hex 32`")
            );
        }
    }

    #[test]
    fn retired_keys_are_read_and_held_to_the_same_rules() {
        let other = GOOD.replace('9', "4");
        let keys = wrapping_keys(&with(&[(KEY, GOOD), (PREVIOUS, &format!("{other}, {GOOD}"))])).unwrap();
        let printed = format!("{keys:?}");
        assert!(!printed.contains(GOOD) && !printed.contains(&other));
        let line = error_of(wrapping_keys(&with(&[
            (KEY, GOOD),
            (PREVIOUS, &format!("{other},short")),
        ])));
        assert!(
            line.starts_with("ENCRYPTION_PREVIOUS_KEYS: holds a key that is not 32 bytes"),
            "{line}"
        );
    }
}
