//! How a kept state holds what serde does not write, or cannot read back, by itself.

pub(crate) mod pairs;
pub(crate) mod words;
