//! Words of the simulator's own tables, read back from a file: each distinct one stays in memory for ever, and there are few.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Deserializer};

/// A word of a table in the code, such as a brand or a decline code.
pub(crate) type Word = &'static str;

static KNOWN: Mutex<Option<HashSet<Word>>> = Mutex::new(None);

fn word(text: String) -> Word {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_with(HashSet::new);
    if let Some(word) = known.get(text.as_str()) {
        return word;
    }
    let word: Word = Box::leak(text.into_boxed_str());
    known.insert(word);
    word
}

/// Reads a word.
pub(crate) fn one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Word, D::Error> {
    Ok(word(String::deserialize(deserializer)?))
}

/// Reads a word that may be absent.
pub(crate) fn perhaps<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Word>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(word))
}

/// Reads a map of texts whose keys are words.
pub(crate) fn keyed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Word, String>, D::Error> {
    let read = BTreeMap::<String, String>::deserialize(deserializer)?;
    Ok(read.into_iter().map(|(key, value)| (word(key), value)).collect())
}
