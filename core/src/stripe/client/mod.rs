//! Stripe's API in our own types, on top of async-stripe: the only place that names its crates.
//!
//! Requests are built by the library's typed builders; its typed answers are converted at once to our types. There is one file for each resource.
//! The library's retrying strategies are not used: each call would make a key of its own, which after a crash would be another key, and the money
//! would be sent twice. Requests are sent by an HTTP client of our own ([`http`]), which limits how much it reads.

mod accounts;
mod balance;
mod convert;
mod customers;
mod disputes;
mod events;
mod failure;
mod hedge;
mod http;
mod measured;
mod pages;
mod payment_intents;
mod payouts;
mod refunds;
mod transfers;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use secrecy::SecretString;

use self::hedge::Hedge;
use self::http::{Http, InvalidOptions};
pub use self::measured::describe_metrics;
use self::measured::measure;
use super::errors::StripeError;

/// The maximum duration of a call. Stripe's own libraries wait 80 s; a worker's lease and a person's patience are shorter, and
/// giving up early is safe because the key is stored.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// The number of objects per page, the maximum that Stripe allows.
const PAGE: i64 = 100;

/// The maximum number of pages that are read of one list. A look-up for one transaction cannot have more objects.
const MOST_PAGES: usize = 50;

/// How to connect to Stripe.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// The secret key, `sk_…` or `rk_…`.
    pub secret_key: SecretString,
    /// The base URL: `https://api.stripe.com`, or the simulator's.
    pub api_base: String,
    /// The maximum duration of a call.
    pub timeout: Duration,
}

impl ClientOptions {
    /// Creates options with [`CALL_TIMEOUT`].
    #[must_use]
    pub fn new(secret_key: SecretString, api_base: impl Into<String>) -> Self {
        Self {
            secret_key,
            api_base: api_base.into(),
            timeout: CALL_TIMEOUT,
        }
    }
}

/// The error of options from which no client can be built.
#[derive(Debug, thiserror::Error)]
#[error("the stripe client cannot be configured: check STRIPE_SECRET_KEY and STRIPE_API_BASE")]
pub struct ClientConfigError(#[source] InvalidOptions);

/// A client of Stripe's API; cheap to clone.
///
/// [`StripeError::class`] shows what is known of the effect of a failed request. Creating methods are called only through
/// [`super::StripeCalls`], which owns the keys. Lists that return a `Vec` hold every match from all pages: a list that is too long or cannot be
/// read to its end is an error, so an object that is absent from the result is absent at Stripe.
#[derive(Debug, Clone)]
pub struct StripeClient {
    http: Http,
    hedge: Arc<Hedge>,
}

impl StripeClient {
    /// Creates a client; no request is sent yet.
    ///
    /// # Errors
    /// If the base URL is not a URL, the key cannot be sent in a header, or the machine has no trusted root certificates.
    pub fn new(options: &ClientOptions) -> Result<Self, ClientConfigError> {
        let http = Http::new(options).map_err(ClientConfigError)?;
        let hedge = Arc::default();
        Ok(Self { http, hedge })
    }

    /// Sends a request once: it reads many pages, which takes time, creates a link, or is a creating call, which only [`super::StripeCalls`] repeats.
    ///
    /// Boxed, as in [`StripeClient::twice`], so that the caller's types do not contain the library's, which are nested without end.
    fn once<'a, T: Send + 'a>(
        &'a self,
        operation: &'static str,
        request: impl Future<Output = Result<T, StripeError>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, StripeError>> {
        Box::pin(measure(operation, request))
    }

    /// Sends a request that is harmless when repeated, and sends it a second time if no answer comes.
    fn twice<'a, T: Send + 'a, R>(
        &'a self,
        operation: &'static str,
        request: impl Fn() -> R + Send + Sync + 'a,
    ) -> BoxFuture<'a, Result<T, StripeError>>
    where
        R: Future<Output = Result<T, StripeError>> + Send + 'a,
    {
        let may = std::future::ready(true);
        Box::pin(self.hedge.call(may, move || measure(operation, request())))
    }

    /// Sends a creating call, and sends it again under its key if no answer comes and `may` still allows it at that time.
    pub(super) async fn send_again<T, R>(
        &self,
        may: impl Future<Output = bool>,
        call: impl Fn() -> R,
    ) -> Result<T, StripeError>
    where
        R: Future<Output = Result<T, StripeError>>,
    {
        self.hedge.call(may, call).await
    }
}
