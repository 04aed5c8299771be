//! The errors that keep the API from being served.

use wallet_core::config::ConfigError;
use wallet_core::db::DbError;
use wallet_core::metrics::RecorderError;
use wallet_core::queue::TransportError;
use wallet_core::stripe::{ClientConfigError, InvalidWebhookSecret};

use crate::auth::KeyError;

/// The reason why the API could not be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The database's URL is not valid.
    #[error("the database cannot be used")]
    Db(#[from] DbError),
    /// The data keys of the database are wrapped with another key.
    #[error(transparent)]
    Keys(ConfigError),
    /// The queue's URL is not valid.
    #[error("the queue cannot be used")]
    Queue(#[from] TransportError),
    /// The URL of Redis is not valid.
    #[error("REDIS_URL is not understood")]
    RedisUrl(#[source] redis::RedisError),
    /// A key with which tokens are verified cannot be used.
    #[error(transparent)]
    Jwt(#[from] KeyError),
    /// A webhook secret is not valid.
    #[error("STRIPE_WEBHOOK_SECRET cannot be used")]
    WebhookSecret(#[from] InvalidWebhookSecret),
    /// No webhook secret is configured.
    #[error("STRIPE_WEBHOOK_SECRET names no secret")]
    NoWebhookSecret,
    /// Stripe's client cannot be built from the key and the base URL.
    #[error("Stripe cannot be used")]
    Stripe(#[from] ClientConfigError),
    /// The process has another metrics recorder already.
    #[error("metrics cannot be recorded")]
    Metrics(#[from] RecorderError),
    /// The listener has no address.
    #[error("the listener cannot be used")]
    Listener(#[source] std::io::Error),
}
