//! Maps whose keys are not texts, written as lists of pairs.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes the pairs.
pub(crate) fn serialize<'a, S, K, V, M>(map: &'a M, serializer: S) -> Result<S::Ok, S::Error>
where
    S: Serializer,
    K: Serialize + 'a,
    V: Serialize + 'a,
    &'a M: IntoIterator<Item = (&'a K, &'a V)>,
{
    serializer.collect_seq(map)
}

/// Reads the pairs.
pub(crate) fn deserialize<'de, D, K, V, M>(deserializer: D) -> Result<M, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de>,
    V: Deserialize<'de>,
    M: FromIterator<(K, V)>,
{
    Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
}
