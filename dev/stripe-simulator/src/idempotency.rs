//! Stripe's idempotency keys: replayed, in use, used with other parameters, forgotten after a day.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::Moment;
use crate::errors::ApiError;

/// The maximum length of a key at Stripe.
const LONGEST_KEY: usize = 255;

/// A response that is stored for replay.
#[derive(Debug, Clone)]
pub(crate) struct Saved {
    /// The first response's HTTP status.
    pub(crate) status: u16,
    /// The first response's body.
    pub(crate) body: Arc<str>,
    /// The first request's id.
    pub(crate) request_id: String,
}

#[derive(Debug)]
enum Progress {
    InFlight,
    Finished(Saved),
}

#[derive(Debug)]
struct Entry {
    path: String,
    parameters: String,
    since: Moment,
    progress: Progress,
}

/// How to handle a request that has a key.
#[derive(Debug)]
pub(crate) enum Begin {
    /// The key is unused: execute the request, then call [`KeyStore::finish`].
    Fresh,
    /// Repeat this response.
    Replay(Saved),
}

/// A key, with the account to which Stripe scopes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ScopedKey {
    /// The account that the request acts on.
    pub(crate) account: String,
    /// The `Idempotency-Key` header.
    pub(crate) key: String,
}

/// The keys of the last day.
#[derive(Debug, Default)]
pub(crate) struct KeyStore {
    entries: HashMap<ScopedKey, Entry>,
}

/// A finished request, in the form in which it is stored in a file.
#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    account: Cow<'a, str>,
    key: Cow<'a, str>,
    path: Cow<'a, str>,
    parameters: Cow<'a, str>,
    since: Moment,
    status: u16,
    body: Cow<'a, str>,
    request_id: Cow<'a, str>,
}

/// Only finished requests: those that were in progress when the simulator ended will never be answered.
impl Serialize for KeyStore {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let finished = self
            .entries
            .iter()
            .filter_map(|(key, entry)| match &entry.progress {
                Progress::InFlight => None,
                Progress::Finished(saved) => Some(Kept {
                    account: Cow::Borrowed(&key.account),
                    key: Cow::Borrowed(&key.key),
                    path: Cow::Borrowed(&entry.path),
                    parameters: Cow::Borrowed(&entry.parameters),
                    since: entry.since,
                    status: saved.status,
                    body: Cow::Borrowed(&saved.body),
                    request_id: Cow::Borrowed(&saved.request_id),
                }),
            });
        serializer.collect_seq(finished)
    }
}

impl<'de> Deserialize<'de> for KeyStore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let kept = Vec::<Kept<'_>>::deserialize(deserializer)?;
        let entry = |kept: Kept<'_>| {
            let key = ScopedKey {
                account: kept.account.into_owned(),
                key: kept.key.into_owned(),
            };
            let saved = Saved {
                status: kept.status,
                body: Arc::from(kept.body),
                request_id: kept.request_id.into_owned(),
            };
            let entry = Entry {
                path: kept.path.into_owned(),
                parameters: kept.parameters.into_owned(),
                since: kept.since,
                progress: Progress::Finished(saved),
            };
            (key, entry)
        };
        Ok(Self {
            entries: kept.into_iter().map(entry).collect(),
        })
    }
}

impl KeyStore {
    /// Returns the number of keys.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Starts a request with a key.
    ///
    /// # Errors
    /// 400 for a key that is too long or was used with another path or other parameters; 409 while the first request
    /// is in progress.
    pub(crate) fn begin(
        &mut self,
        key: &ScopedKey,
        path: &str,
        parameters: &str,
        now: Moment,
        ttl_s: u64,
    ) -> Result<Begin, ApiError> {
        if key.key.len() > LONGEST_KEY {
            let message = format!("Idempotency keys must be at most {LONGEST_KEY} characters long.");
            return Err(ApiError::idempotency(message));
        }
        let forgotten = |entry: &Entry| now.since(entry.since) >= ttl_s.saturating_mul(1_000);
        let Some(entry) = self.entries.get(key).filter(|entry| !forgotten(entry)) else {
            let entry = Entry {
                path: path.to_owned(),
                parameters: parameters.to_owned(),
                since: now,
                progress: Progress::InFlight,
            };
            self.entries.insert(key.clone(), entry);
            return Ok(Begin::Fresh);
        };
        if entry.path != path {
            return Err(ApiError::idempotency(format!(
                "Keys for idempotent requests can only be used for the same endpoint they were first used for ('{path}' vs '{}'). Try using a key other than '{}' if you meant to execute a different request.",
                entry.path, key.key
            )));
        }
        if entry.parameters != parameters {
            return Err(ApiError::idempotency(format!(
                "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '{}' if you meant to execute a different request.",
                key.key
            )));
        }
        match &entry.progress {
            Progress::InFlight => Err(ApiError::key_in_use(&key.key)),
            Progress::Finished(saved) => Ok(Begin::Replay(saved.clone())),
        }
    }

    /// Ends a request: stores its response, or frees the key if there is none to store.
    pub(crate) fn finish(&mut self, key: &ScopedKey, answer: Option<Saved>) {
        match answer {
            Some(saved) => {
                if let Some(entry) = self.entries.get_mut(key) {
                    entry.progress = Progress::Finished(saved);
                }
            }
            None => {
                self.entries.remove(key);
            }
        }
    }

    /// Drops the keys that are older than `ttl_s`.
    pub(crate) fn forget_old(&mut self, now: Moment, ttl_s: u64) {
        self.entries
            .retain(|_, entry| now.since(entry.since) < ttl_s.saturating_mul(1_000));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const DAY: u64 = 86_400;

    fn key() -> ScopedKey {
        ScopedKey {
            account: "platform".into(),
            key: "deposit:1:1".into(),
        }
    }

    fn saved() -> Saved {
        Saved {
            status: 500,
            body: "{}".into(),
            request_id: "req_1".into(),
        }
    }

    #[test]
    fn a_finished_key_replays_its_first_answer_even_a_500() {
        let now = Clock::default().now();
        let mut keys = KeyStore::default();
        assert!(matches!(
            keys.begin(&key(), "/v1/x", "a=1", now, DAY),
            Ok(Begin::Fresh)
        ));
        keys.finish(&key(), Some(saved()));
        let Ok(Begin::Replay(again)) = keys.begin(&key(), "/v1/x", "a=1", now, DAY) else {
            panic!("not replayed")
        };
        assert_eq!((again.status, again.request_id.as_str()), (500, "req_1"));
    }

    #[test]
    fn a_key_in_flight_is_a_409_and_other_parameters_a_400() {
        let now = Clock::default().now();
        let mut keys = KeyStore::default();
        keys.begin(&key(), "/v1/x", "a=1", now, DAY).unwrap();
        assert_eq!(
            keys.begin(&key(), "/v1/x", "a=1", now, DAY).unwrap_err().status(),
            409
        );
        assert_eq!(
            keys.begin(&key(), "/v1/x", "a=2", now, DAY).unwrap_err().status(),
            400
        );
        assert_eq!(
            keys.begin(&key(), "/v1/y", "a=1", now, DAY).unwrap_err().status(),
            400
        );
    }

    #[test]
    fn a_key_without_a_kept_answer_can_be_used_again() {
        let now = Clock::default().now();
        let mut keys = KeyStore::default();
        keys.begin(&key(), "/v1/x", "a=1", now, DAY).unwrap();
        keys.finish(&key(), None);
        assert!(matches!(
            keys.begin(&key(), "/v1/x", "a=2", now, DAY),
            Ok(Begin::Fresh)
        ));
    }

    #[test]
    fn a_key_is_forgotten_after_a_day() {
        let now = Clock::default().now();
        let mut keys = KeyStore::default();
        keys.begin(&key(), "/v1/x", "a=1", now, DAY).unwrap();
        keys.finish(&key(), Some(saved()));
        let almost = now.plus_millis(DAY * 1_000 - 1);
        assert!(matches!(
            keys.begin(&key(), "/v1/x", "a=1", almost, DAY),
            Ok(Begin::Replay(_))
        ));
        let later = now.plus_millis(DAY * 1_000);
        assert!(matches!(
            keys.begin(&key(), "/v1/x", "a=1", later, DAY),
            Ok(Begin::Fresh)
        ));
    }
}
