//! The GraphQL schema: queries, mutations, subscriptions, their types, and the bounds of a request.

mod answer;
mod codes;
pub(crate) mod limits;
mod mutations;
mod query;
mod scalars;
mod schema;
mod subscription;
mod types;

pub(crate) use codes::refusal;
pub use schema::sdl;
pub(crate) use schema::{ApiSchema, build};
pub(crate) use types::DebtsOfRequest;
