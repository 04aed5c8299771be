//! The public contract, as clients meet it.

mod documents;
mod errors;
mod outages;
mod ownership;
mod pages;
