//! Stripe's API in our own types, over async-stripe: the only place that names its crates.
//!
//! Requests are its typed builders, answers its typed objects, turned at once into ours; one file for each resource. The library's retrying
//! strategies make a key of their own per call, which after a crash would be another key and the money sent twice: none is used. Requests are
//! sent by an HTTP client of our own ([`http`]), which bounds what it reads.

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

/// The longest a call may take. Stripe's own libraries wait 80 s; a worker's lease and a person's patience are shorter, and
/// giving up early is safe with a stored key.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// Objects on one page, the most that Stripe gives.
const PAGE: i64 = 100;

/// Pages that are read of one list. More objects than these cannot belong to one transaction's look-up.
const MOST_PAGES: usize = 50;

/// How to reach Stripe.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// `sk_…` or `rk_…`.
    pub secret_key: SecretString,
    /// `https://api.stripe.com`, or the simulator's base URL.
    pub api_base: String,
    /// The longest a call may take.
    pub timeout: Duration,
}

impl ClientOptions {
    /// Options with [`CALL_TIMEOUT`].
    #[must_use]
    pub fn new(secret_key: SecretString, api_base: impl Into<String>) -> Self {
        Self {
            secret_key,
            api_base: api_base.into(),
            timeout: CALL_TIMEOUT,
        }
    }
}

/// The client cannot be built from its options.
#[derive(Debug, thiserror::Error)]
#[error("the stripe client cannot be configured: check STRIPE_SECRET_KEY and STRIPE_API_BASE")]
pub struct ClientConfigError(#[source] InvalidOptions);

/// Stripe's API; cheap to clone.
///
/// [`StripeError::class`] tells what is known of the effect of a request that failed. Creating methods are called through
/// [`super::StripeCalls`] only, which owns the keys. Lists that return a `Vec` hold every match, over all pages: one that is too long or could
/// not be read to its end is an error, so an object that is absent from it is absent.
#[derive(Debug, Clone)]
pub struct StripeClient {
    http: Http,
    hedge: Arc<Hedge>,
}

impl StripeClient {
    /// A client; no request is sent yet.
    ///
    /// # Errors
    /// When the base URL is no URL, the key cannot be a header, or the machine has no trusted root certificates.
    pub fn new(options: &ClientOptions) -> Result<Self, ClientConfigError> {
        let http = Http::new(options).map_err(ClientConfigError)?;
        let hedge = Arc::default();
        Ok(Self { http, hedge })
    }

    /// A request that is sent once: it reads many pages, which take their time, makes a link, or is a creating call, which its record sends again.
    ///
    /// In a box, as with [`StripeClient::twice`]: whoever awaits it need not know the library's types, which hold one another without end.
    fn once<'a, T: Send + 'a>(
        &'a self,
        operation: &'static str,
        request: impl Future<Output = Result<T, StripeError>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, StripeError>> {
        Box::pin(measure(operation, request))
    }

    /// A request that is harmless when it is repeated, and is sent a second time when no answer comes.
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

    /// Sends a creating call, and sends it a second time, with its key, when no answer comes and it still `may` be sent then.
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
