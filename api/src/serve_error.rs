//! Why the API could not be served.

use wallet_core::config::ConfigError;
use wallet_core::db::DbError;
use wallet_core::metrics::RecorderError;
use wallet_core::queue::CarrierError;
use wallet_core::stripe::{ClientConfigError, InvalidWebhookSecret};

use crate::auth::KeyError;

/// Why the API could not be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The database's URL is not understood.
    #[error("the database cannot be used")]
    Db(#[from] DbError),
    /// The data keys of the database are under another key.
    #[error(transparent)]
    Keys(ConfigError),
    /// The queue's URL is not understood.
    #[error("the queue cannot be used")]
    Queue(#[from] CarrierError),
    /// The URL of Redis is not understood.
    #[error("REDIS_URL is not understood")]
    RedisUrl(#[source] redis::RedisError),
    /// A key that tokens are checked with cannot be used.
    #[error(transparent)]
    Jwt(#[from] KeyError),
    /// A webhook secret is none.
    #[error("STRIPE_WEBHOOK_SECRET cannot be used")]
    WebhookSecret(#[from] InvalidWebhookSecret),
    /// There is no webhook secret.
    #[error("STRIPE_WEBHOOK_SECRET names no secret")]
    NoWebhookSecret,
    /// Stripe's client cannot be built of the key and the base URL.
    #[error("Stripe cannot be used")]
    Stripe(#[from] ClientConfigError),
    /// The process has another metrics recorder.
    #[error("metrics cannot be recorded")]
    Metrics(#[from] RecorderError),
    /// The listener has no address.
    #[error("the listener cannot be used")]
    Listener(#[source] std::io::Error),
}
