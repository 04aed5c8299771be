//! The HTTP client under the library's requests: one connection and one request for each call, and answers of limited size.
//!
//! The library's own client reads every answer to its end, however long it is, and reports its failures as texts. The library lets its requests be
//! sent by any other client (`stripe_client_core::StripeClient`), so this one sends them.

use std::fmt;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use secrecy::ExposeSecret;
use stripe::{ApiErrors, CustomizedStripeRequest};
use stripe_client_core::{RequestBuilder, StripeClient, StripeClientErr, StripeMethod};

use super::ClientOptions;

/// The maximum length of an answer, in bytes. Stripe's longest is a page of a hundred events of about ten kilobytes each.
const LONGEST_ANSWER: usize = 8 * 1024 * 1024;

const NAME: &str = concat!("wallet/", env!("CARGO_PKG_VERSION"));

/// Why a request returned no object.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// The request could not be built from its parameters.
    #[error("the request could not be built")]
    NotBuilt(#[source] hyper::http::Error),
    /// No connection was made.
    #[error("no connection was made")]
    NotConnected(#[source] hyper_util::client::legacy::Error),
    /// The request may have been sent, and no complete answer came.
    #[error("no answer came")]
    NoAnswer(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer is longer than any that Stripe sends; the rest was not read.
    #[error("the answer is longer than {LONGEST_ANSWER} bytes")]
    TooLong,
    /// The answer does not have the shape that its type promises.
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
    /// Stripe answered with an error.
    #[error("refused with status {1}")]
    Refused(Box<ApiErrors>, u16),
}

impl StripeClientErr for WireError {
    fn deserialize_err(message: impl fmt::Display) -> Self {
        Self::Unreadable(message.to_string())
    }
}

/// Why no client can be created.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidOptions {
    /// The key has characters that are not allowed in a header.
    #[error("the key cannot be sent")]
    Key(#[from] hyper::header::InvalidHeaderValue),
    /// The base URL is not a URL.
    #[error("the base is no URL")]
    Base(#[from] hyper::http::uri::InvalidUri),
    /// The machine has no trusted root certificates.
    #[error("the trusted root certificates cannot be read")]
    Roots(#[from] std::io::Error),
}

/// Sends requests to Stripe; cheap to clone.
#[derive(Clone)]
pub(super) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    authorization: HeaderValue,
    timeout: Duration,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl Http {
    /// Creates a client; nothing is sent yet.
    pub(super) fn new(options: &ClientOptions) -> Result<Self, InvalidOptions> {
        let base = options.api_base.trim_end_matches('/').to_owned();
        base.parse::<hyper::Uri>()?;
        let key = format!("Bearer {}", options.secret_key.expose_secret());
        let mut authorization = HeaderValue::try_from(key)?;
        authorization.set_sensitive(true);
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()?
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .build();
        Ok(Self {
            // A reused connection may break at the moment of its next use, which would leave the outcome of that call unknown.
            client: Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(0)
                .build(connector),
            base,
            authorization,
            timeout: options.timeout,
        })
    }

    fn request(&self, request: CustomizedStripeRequest) -> Result<Request<Full<Bytes>>, WireError> {
        let (
            RequestBuilder {
                query,
                body,
                path,
                method,
            },
            custom,
        ) = request.into_pieces();
        let query = query.map_or_else(String::new, |query| format!("?{query}"));
        let mut built = Request::builder()
            .method(match method {
                StripeMethod::Get => Method::GET,
                StripeMethod::Post => Method::POST,
                StripeMethod::Delete => Method::DELETE,
            })
            .uri(format!("{}/v1{path}{query}", self.base))
            .header(AUTHORIZATION, self.authorization.clone())
            .header(USER_AGENT, NAME)
            .header(
                HeaderName::from_static("stripe-version"),
                stripe_client_core::VERSION.as_str(),
            );
        if let Some(account) = &custom.account_id {
            built = built.header(HeaderName::from_static("stripe-account"), account.as_str());
        }
        if let Some(key) = custom.request_strategy.and_then(|strategy| strategy.get_key()) {
            built = built.header(HeaderName::from_static("idempotency-key"), key.as_str());
        }
        if body.is_some() {
            built = built.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let body = Full::new(Bytes::from(body.unwrap_or_default()));
        built.body(body).map_err(WireError::NotBuilt)
    }

    async fn answer(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), WireError> {
        let response = self.client.request(request).await.map_err(|error| {
            if error.is_connect() {
                WireError::NotConnected(error)
            } else {
                WireError::NoAnswer(Box::new(error))
            }
        })?;
        let status = response.status();
        Ok((status, bounded(response).await?))
    }
}

/// Returns the body of an answer, or an error if it is longer than [`LONGEST_ANSWER`].
async fn bounded<B>(response: Response<B>) -> Result<Bytes, WireError>
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let body = Limited::new(response.into_body(), LONGEST_ANSWER);
    match body.collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(WireError::TooLong),
        Err(error) => Err(WireError::NoAnswer(error)),
    }
}

impl StripeClient for Http {
    type Err = WireError;

    async fn execute(&self, request: CustomizedStripeRequest) -> Result<Bytes, WireError> {
        let request = self.request(request)?;
        let (status, body) = tokio::time::timeout(self.timeout, self.answer(request))
            .await
            .map_err(|elapsed| WireError::NoAnswer(Box::new(elapsed)))??;
        if status.is_success() {
            return Ok(body);
        }
        // An error that is not in Stripe's format: another server between us and Stripe answered.
        let unreadable =
            || WireError::NoAnswer(format!("an error of status {status} that is none of Stripe's").into());
        let text = std::str::from_utf8(&body).map_err(|_| unreadable())?;
        let error: stripe_shared::Error = miniserde::json::from_str(text).map_err(|_| unreadable())?;
        Err(WireError::Refused(error.error, status.as_u16()))
    }
}
