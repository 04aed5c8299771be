//! Handles one API request, from headers to response, with faults and idempotency.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;

use crate::auth::{self, KeyKind};
use crate::errors::ApiError;
use crate::expand::expand;
use crate::faults::{ApiFault, Outcome, RequestSubject};
use crate::form::Params;
use crate::idempotency::{Begin, Saved, ScopedKey};
use crate::listener::Cut;
use crate::objects::{Account, Owner, random_id};
use crate::resources::{Call, Handler, Route, accounts, routes};
use crate::shared::Core;
use crate::state::{Origin, State};

/// A request as it was received.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A request that passed every check and is to be executed.
struct Ready {
    route: &'static Route,
    call: Call,
    key: Option<ScopedKey>,
}

/// The result of the checks before a request is executed.
enum Start {
    Execute(Box<Ready>),
    Replay(Saved),
}

/// A response before it is turned into headers and bytes.
struct Reply {
    status: u16,
    body: Arc<str>,
    /// The first request's id, if this is a replay.
    replayed: Option<String>,
    /// Whether the same key returns the same response again.
    kept: bool,
}

impl Reply {
    fn refusal(error: &ApiError, request_id: &str) -> Self {
        Self {
            status: error.status(),
            body: error.body(request_id).to_string().into(),
            replayed: None,
            kept: false,
        }
    }

    /// Returns the response followed by this many spaces.
    fn padded(mut self, blanks: usize) -> Self {
        if blanks > 0 {
            self.body = format!("{}{}", self.body, " ".repeat(blanks)).into();
        }
        self
    }
}

impl Request {
    /// Executes the request, with the fault that a test may have ordered.
    pub(crate) async fn work(self, core: &Core, cut: &Cut) -> Response {
        let request_id = random_id("req_");
        let found = find_route(self.method.as_str(), self.uri.path());
        let operation = found.as_ref().map_or("unknown", |(route, _)| route.operation);
        let fault = self.fault(&mut core.lock(), operation);
        match fault.outcome {
            Outcome::HangBefore => return hang(core, cut).await,
            Outcome::DropBefore => {
                pause(fault.latency_ms).await;
                cut.now();
                return plain(StatusCode::OK);
            }
            _ => {}
        }
        let start = match refusal_before(fault.outcome, self.idempotency_key()) {
            Some(error) => Err(error),
            None => self.begin(core, found, &request_id),
        };
        pause(fault.latency_ms).await;
        let reply = match start {
            Err(error) => Reply::refusal(&error, &request_id),
            Ok(Start::Replay(saved)) => Reply {
                status: saved.status,
                body: saved.body,
                replayed: Some(saved.request_id),
                kept: true,
            },
            Ok(Start::Execute(ready)) => core.with(|state| execute(state, *ready, &fault, &request_id)),
        };
        pause(fault.answer_delay_ms).await;
        match fault.outcome {
            Outcome::DropAfter => {
                cut.now();
                plain(StatusCode::OK)
            }
            Outcome::HangAfter => hang(core, cut).await,
            _ => self.respond(reply.padded(fault.padding_bytes), &request_id),
        }
    }

    /// Returns the fault that a test ordered for this request.
    fn fault(&self, state: &mut State, operation: &str) -> ApiFault {
        let path = self.uri.path();
        let account = self.header("stripe-account");
        let subject = RequestSubject {
            method: self.method.as_str(),
            path,
            operation,
            account,
        };
        let State {
            faults,
            rng,
            requests,
            ..
        } = state;
        *requests += 1;
        faults.select(&subject, rng).unwrap_or_default()
    }

    /// Runs every check that precedes execution, and begins the use of the idempotency key.
    fn begin(&self, core: &Core, found: Option<Found>, request_id: &str) -> Result<Start, ApiError> {
        let params = Params::decode(self.uri.query().unwrap_or_default(), &self.body);
        let key = auth::key(&self.headers, &params, core.secret_key.as_deref())?;
        let path = self.uri.path();
        let (route, captures) = found.ok_or_else(|| ApiError::unknown_url(self.method.as_str(), path))?;
        if key == KeyKind::Publishable && !route.publishable {
            return Err(ApiError::forbidden(
                "secret_key_required",
                "This API call cannot be made with a publishable API key. Please use a secret API key. You can find a list of your API keys at https://dashboard.stripe.com/account/apikeys.".to_owned(),
            ));
        }
        let mut state = core.lock();
        let owner = self.owner(&state)?;
        let idempotency_key = self.idempotency_key().filter(|_| self.method == Method::POST);
        let scoped = idempotency_key.map(|key| ScopedKey {
            account: owner.key().to_owned(),
            key: key.to_owned(),
        });
        if let Some(scoped) = &scoped {
            let (now, ttl) = (state.now(), state.settings.idempotency_ttl_s);
            if let Begin::Replay(saved) = state.keys.begin(scoped, path, &self.raw_parameters(), now, ttl)? {
                return Ok(Start::Replay(saved));
            }
        }
        let origin = Origin {
            request_id: Some(request_id.to_owned()),
            idempotency_key: idempotency_key.map(str::to_owned),
        };
        let call = Call {
            owner,
            key,
            params,
            path: path.to_owned(),
            captures,
            origin,
        };
        Ok(Start::Execute(Box::new(Ready {
            route,
            call,
            key: scoped,
        })))
    }

    /// Returns the account that the request acts on.
    fn owner(&self, state: &State) -> Result<Owner, ApiError> {
        match self.header("stripe-account") {
            Some(account) => accounts::known(state, account).map(Account::as_owner),
            None => Ok(Owner::Platform),
        }
    }

    /// Returns the parameters byte for byte. Stripe compares them "to those of the original request"
    /// (<https://docs.stripe.com/api/idempotent_requests>); whether another order is accepted is not documented, so it is not accepted here.
    fn raw_parameters(&self) -> String {
        let query = self.uri.query().unwrap_or_default();
        format!("{query}\n{}", String::from_utf8_lossy(&self.body))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)?
            .to_str()
            .ok()
            .filter(|value| !value.is_empty())
    }

    fn idempotency_key(&self) -> Option<&str> {
        self.header("idempotency-key")
    }

    fn respond(&self, reply: Reply, request_id: &str) -> Response {
        let mut response =
            plain(StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
        *response.body_mut() = Body::from(reply.body.to_string());
        let headers = response.headers_mut();
        let mut set = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        set("request-id", request_id);
        if let Some(version) = self.header("stripe-version") {
            set("stripe-version", version);
        }
        if let Some(account) = self.header("stripe-account") {
            set("stripe-account", account);
        }
        if let Some(key) = self.idempotency_key() {
            set("idempotency-key", key);
            set(
                "original-request",
                reply.replayed.as_deref().unwrap_or(request_id),
            );
        }
        if reply.replayed.is_some() {
            set("idempotent-replayed", "true");
        }
        if matches!(reply.status, 409 | 429 | 503) {
            set("stripe-should-retry", "true");
        }
        if reply.kept && reply.status == 500 {
            // A retry would only be answered with the same 500; the official libraries expect this header.
            set("stripe-should-retry", "false");
        }
        if reply.status == 429 && reply.body.contains("\"rate_limit\"") {
            set("stripe-rate-limited-reason", "global-rate");
        }
        response
    }
}

/// Returns the error with which a fault replaces any execution.
fn refusal_before(outcome: Outcome, key: Option<&str>) -> Option<ApiError> {
    match outcome {
        Outcome::RateLimit => Some(ApiError::rate_limit()),
        Outcome::LockTimeout => Some(ApiError::lock_timeout()),
        Outcome::KeyInUse => Some(ApiError::key_in_use(key.unwrap_or_default())),
        Outcome::Error500Unsaved => Some(ApiError::server(500)),
        Outcome::Error503 => Some(ApiError::server(503)),
        Outcome::Error424 => Some(ApiError::server(424)),
        Outcome::Error401 => Some(ApiError::unauthorized("Invalid API Key provided.".to_owned())),
        Outcome::Error401Expired => Some(
            ApiError::unauthorized("Expired API Key provided: sk_test_***".to_owned()).code("api_key_expired"),
        ),
        Outcome::Error403 => Some(ApiError::not_permitted()),
        Outcome::Error403Account => Some(ApiError::forbidden(
            "more_permissions_required_for_application",
            "This application does not have the required permissions for this endpoint on account 'acct_***'."
                .to_owned(),
        )),
        Outcome::Error404 => Some(ApiError::not_found("object", "of_the_fault")),
        Outcome::NoSuchDestination => Some(ApiError::no_such("destination", "acct_***", "destination")),
        Outcome::IdempotencyError => Some(ApiError::idempotency(
            "Keys for idempotent requests can only be used with the same parameters they were first used with.".to_owned(),
        )),
        _ => None,
    }
}

/// An endpoint, and the ids in the path.
type Found = (&'static Route, Vec<String>);

fn find_route(method: &str, path: &str) -> Option<Found> {
    routes()
        .filter(|route| route.method == method)
        .find_map(|route| Some((route, route.captures(path)?)))
}

/// Runs the handler and stores its response under the key.
fn execute(state: &mut State, ready: Ready, fault: &ApiFault, request_id: &str) -> Reply {
    let Ready { route, call, key } = ready;
    let result = match fault.outcome {
        Outcome::Error500 => Err(ApiError::server(500)),
        Outcome::Error400 => Err(ApiError::refused(
            "parameter_invalid_integer",
            "Invalid integer: as the fault asked for.",
        )),
        Outcome::BalanceInsufficient => Err(ApiError::refused(
            "balance_insufficient",
            "You have insufficient available funds in your Stripe account.",
        )),
        Outcome::Error500AfterEffect => answer(state, route, &call).and(Err(ApiError::server(500))),
        _ => answer(state, route, &call),
    };
    let (mut reply, saved) = match result {
        Ok(text) => (
            Reply {
                status: 200,
                body: fault.of_another(text).into(),
                replayed: None,
                kept: false,
            },
            true,
        ),
        Err(error) => (Reply::refusal(&error, request_id), error.saved()),
    };
    if let Some(key) = key {
        reply.kept = saved;
        let saved = saved.then(|| Saved {
            status: reply.status,
            body: Arc::clone(&reply.body),
            request_id: request_id.to_owned(),
        });
        state.keys.finish(&key, saved);
    }
    reply
}

fn answer(state: &mut State, route: &Route, call: &Call) -> Result<String, ApiError> {
    let handler = match route.handler {
        Handler::Text(handler) => return handler(state, call),
        Handler::Json(handler) => handler,
    };
    let mut value = handler(state, call)?;
    let paths = call.params.list("expand");
    if !paths.is_empty() {
        // The effect has happened, so a wrong path must not free the key.
        expand(state, &call.owner, &paths, &mut value).map_err(ApiError::kept)?;
    }
    Ok(value.to_string())
}

async fn pause(millis: u64) {
    if millis > 0 {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

/// Never responds; the connection is cut when the simulator stops, or after ten minutes.
async fn hang(core: &Core, cut: &Cut) -> Response {
    tokio::select! {
        () = core.stop.cancelled() => {}
        () = tokio::time::sleep(Duration::from_secs(600)) => {}
    }
    cut.now();
    plain(StatusCode::OK)
}

/// Returns a response without a body.
pub(crate) fn plain(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
