//! The public API of the wallet: GraphQL over HTTP, subscriptions over websockets, Stripe's webhooks, health and metrics.
//!
//! The API decides nothing about money. It identifies the caller, bounds what may be requested, and hands the request to
//! [`wallet_core::accept`], which stores it with its job in one transaction; the workers do the rest. [`serve`] is all that a
//! program or a test needs.

mod auth;
mod connections;
mod context;
mod errors;
mod exact;
mod graphql;
mod measure;
mod metrics;
mod places;
mod program;
mod rate_limit;
mod reads;
mod request_id;
mod routes;
mod schema_watch;
mod serve;
mod serve_error;
mod state;
mod watching;

pub use auth::{KeyError, Unusable};
pub use graphql::sdl;
pub use measure::{Measured, measure};
pub use program::program;
pub use serve::serve;
pub use serve_error::ServeError;
