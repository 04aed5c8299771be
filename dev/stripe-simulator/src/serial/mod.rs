//! Serialisation of what serde cannot write, or read back, by itself.

pub(crate) mod pairs;
pub(crate) mod words;
