//! Stripe's error bodies: `{"error":{type, code, decline_code, message, param, …}}` with their HTTP status.

use serde_json::{Map, Value, json};

/// An error response, in Stripe's words.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", self.0.message)]
pub(crate) struct ApiError(Box<Details>);

#[derive(Debug, Clone)]
struct Details {
    status: u16,
    kind: &'static str,
    code: Option<String>,
    message: String,
    saved: bool,
    extra: Map<String, Value>,
}

impl ApiError {
    fn new(status: u16, kind: &'static str, message: String) -> Self {
        Self(Box::new(Details {
            status,
            kind,
            code: None,
            message,
            saved: false,
            extra: Map::new(),
        }))
    }

    /// A 400 found before execution began: not stored under the idempotency key.
    pub(crate) fn invalid_param(param: &str, message: String) -> Self {
        Self::new(400, "invalid_request_error", message).with("param", json!(param))
    }

    /// `parameter_missing`.
    pub(crate) fn missing_param(param: &str) -> Self {
        Self::invalid_param(param, format!("Missing required param: {param}.")).code("parameter_missing")
    }

    /// `parameter_unknown`.
    pub(crate) fn unknown_param(param: &str) -> Self {
        Self::invalid_param(param, format!("Received unknown parameter: {param}")).code("parameter_unknown")
    }

    /// A 400 from executing the request: stored under the idempotency key.
    pub(crate) fn refused(code: &'static str, message: impl Into<String>) -> Self {
        let mut error = Self::new(400, "invalid_request_error", message.into()).code(code);
        error.0.saved = true;
        error
    }

    /// A 402 `card_error`: stored under the idempotency key.
    pub(crate) fn card(code: &str, decline_code: Option<&str>, message: &str) -> Self {
        let mut error = Self::new(402, "card_error", message.to_owned()).code(code);
        error.0.saved = true;
        match decline_code {
            Some(decline_code) => error.with("decline_code", json!(decline_code)),
            None => error,
        }
    }

    /// A 404 for an object named in the path.
    pub(crate) fn not_found(noun: &str, id: &str) -> Self {
        let mut error = Self::no_such(noun, id, "id");
        error.0.status = 404;
        error
    }

    /// A 400 for an object named in a parameter.
    pub(crate) fn no_such(noun: &str, id: &str, param: &str) -> Self {
        Self::invalid_param(param, format!("No such {noun}: '{id}'")).code("resource_missing")
    }

    /// A 404 for a path that is no endpoint.
    pub(crate) fn unknown_url(method: &str, path: &str) -> Self {
        Self::new(
            404,
            "invalid_request_error",
            format!(
                "Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we can help at https://support.stripe.com/."
            ),
        )
    }

    /// A 401: no key, or one that is not accepted.
    pub(crate) fn unauthorized(message: String) -> Self {
        Self::new(401, "invalid_request_error", message)
    }

    /// A 403.
    pub(crate) fn forbidden(code: &'static str, message: String) -> Self {
        Self::new(403, "invalid_request_error", message).code(code)
    }

    /// The 403 of a restricted key that may not use an endpoint: it has no code
    /// (<https://docs.stripe.com/keys/restricted-api-keys>).
    pub(crate) fn not_permitted() -> Self {
        Self::new(
            403,
            "invalid_request_error",
            "The provided key 'rk_test_***' does not have the required permissions for this endpoint on account 'acct_1SimulatorPlatform0'. Having the permission of this endpoint would allow this request to continue.".to_owned(),
        )
    }

    /// A 400 `idempotency_error`: the key was used with other parameters.
    pub(crate) fn idempotency(message: String) -> Self {
        Self::new(400, "idempotency_error", message)
    }

    /// A 409: another request with this key is in progress.
    pub(crate) fn key_in_use(key: &str) -> Self {
        Self::new(
            409,
            "idempotency_error",
            format!("There is currently another in-progress request using this Idempotent Key (that probably means you submitted twice, and the other request is still going through): {key}. Please try again later."),
        )
        .code("idempotency_key_in_use")
    }

    /// A 429 because of the request rate.
    pub(crate) fn rate_limit() -> Self {
        Self::new(
            429,
            "invalid_request_error",
            "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits."
                .to_owned(),
        )
        .code("rate_limit")
    }

    /// A 429 because of a lock on the object.
    pub(crate) fn lock_timeout() -> Self {
        Self::new(
            429,
            "invalid_request_error",
            "This object cannot be accessed right now because another API request or Stripe process is currently accessing it. If you see this error intermittently, retry the request. If you see this error frequently and are making multiple concurrent requests to a single object, make your requests serially or at a lower rate.".to_owned(),
        )
        .code("lock_timeout")
    }

    /// A 500 or 503 `api_error`.
    pub(crate) fn server(status: u16) -> Self {
        let message = "An unknown error occurred while processing your request. Please try again.".to_owned();
        let mut error = Self::new(status, "api_error", message);
        error.0.saved = true;
        error
    }

    /// Sets the error's `code`.
    pub(crate) fn code(mut self, code: &str) -> Self {
        self.0.code = Some(code.to_owned());
        self
    }

    /// Adds a field to the error body, such as `payment_intent`.
    pub(crate) fn with(mut self, field: &str, value: Value) -> Self {
        self.0.extra.insert(field.to_owned(), value);
        self
    }

    /// Marks the error as found after execution began: stored under the idempotency key.
    pub(crate) fn kept(mut self) -> Self {
        self.0.saved = true;
        self
    }

    /// Returns the HTTP status.
    pub(crate) fn status(&self) -> u16 {
        self.0.status
    }

    /// Returns whether the response is stored under the idempotency key, because execution had begun.
    pub(crate) fn saved(&self) -> bool {
        self.0.saved
    }

    /// Returns the content of `error`.
    fn inner(&self) -> Value {
        let mut error = self.0.extra.clone();
        error.insert("type".to_owned(), json!(self.0.kind));
        error.insert("message".to_owned(), json!(self.0.message));
        if let Some(code) = &self.0.code {
            error.insert("code".to_owned(), json!(code));
            error.insert(
                "doc_url".to_owned(),
                json!(format!(
                    "https://stripe.com/docs/error-codes/{}",
                    code.replace('_', "-")
                )),
            );
        }
        Value::Object(error)
    }

    /// Returns the response body; `request_id` becomes part of the link to the request's log.
    pub(crate) fn body(&self, request_id: &str) -> Value {
        let mut error = self.inner();
        if let Value::Object(fields) = &mut error {
            fields.insert(
                "request_log_url".to_owned(),
                json!(format!("https://dashboard.stripe.com/test/logs/{request_id}")),
            );
        }
        json!({ "error": error })
    }
}
