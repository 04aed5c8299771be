//! The control endpoint, `/_control/…`: what a test may do to the simulator. JSON in, JSON out, no key.
//!
//! Every call is described with an example in `docs/simulator.md`.

mod faults;
mod inspect;
mod payees;
mod payers;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Path, Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{delete, get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::effects::EffectLog;
use super::errors::ApiError;
use super::objects::{Id, Owner, Resource};
use super::resources::accounts;
use super::server::Core;
use super::settings::{Settings, WebhookTarget};
use super::state::State;

/// The routes of the control endpoint and of the onboarding page behind account links.
pub(super) fn router() -> Router<Arc<Core>> {
    Router::new()
        .route("/_control/state", get(inspect::state))
        .route("/_control/effects", get(inspect::effects))
        .route("/_control/deliveries", get(inspect::deliveries))
        .route("/_control/reset", post(reset))
        .route("/_control/clock", get(clock).post(advance))
        .route("/_control/settings", get(settings).post(change_settings))
        .route(
            "/_control/webhook",
            get(webhook).post(set_webhook).delete(clear_webhook),
        )
        .route("/_control/outage", post(outage))
        .route(
            "/_control/faults",
            get(faults::list).post(faults::add).delete(faults::clear),
        )
        .route("/_control/faults/{id}", delete(faults::remove))
        .route(
            "/_control/webhook_faults",
            get(faults::list_webhook)
                .post(faults::add_webhook)
                .delete(faults::clear_webhook),
        )
        .route("/_control/webhook_faults/{id}", delete(faults::remove_webhook))
        .route("/_control/events", post(payers::emit))
        .route("/_control/events/{id}/resend", post(payers::resend))
        .route(
            "/_control/payment_intents/{id}/confirm",
            post(payers::confirm_intent),
        )
        .route(
            "/_control/payment_intents/{id}/authenticate",
            post(payers::authenticate_intent),
        )
        .route(
            "/_control/payment_intents/{id}/settle",
            post(payers::settle_intent),
        )
        .route("/_control/accounts", post(payees::create_account))
        .route("/_control/accounts/{id}", post(payees::change_account))
        .route("/_control/payouts/{id}", post(payees::move_payout))
        .route("/_control/refunds/{id}", post(payers::move_refund))
        .route("/_control/disputes", post(payers::open_dispute))
        .route("/_control/disputes/{id}", post(payers::move_dispute))
        .route("/_control/balance/top_up", post(payees::top_up))
        .route("/_setup/{id}", get(onboard))
}

/// The answer of a control call.
type Control = Result<Json<Value>, Refusal>;

/// A control call that could not be carried out.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    fn bad(message: impl std::fmt::Display) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message: message.to_string(),
        }
    }

    fn missing(what: &str, id: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            message: format!("no such {what}: {id}"),
        }
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
        Self {
            status,
            message: error.to_string(),
        }
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self {
            status: rejection.status(),
            message: rejection.body_text(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.message }))).into_response()
    }
}

/// A JSON body whose mistakes are answered in JSON too. An empty body counts as `{}`.
struct Input<T>(T);

impl<S: Send + Sync, T: serde::de::DeserializeOwned> FromRequest<S> for Input<T> {
    type Rejection = Refusal;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Self, Refusal> {
        let bytes = axum::body::Bytes::from_request(request, state)
            .await
            .map_err(Refusal::bad)?;
        let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(bytes).map(Self).map_err(Refusal::bad)
    }
}

/// Refuses fields of `given` that a rule of type `F` does not have, so that a misspelt fault is noticed.
fn known_fields<F: serde::Serialize + Default>(given: &Value) -> Result<(), Refusal> {
    let (Ok(Value::Object(known)), Value::Object(given)) = (serde_json::to_value(F::default()), given) else {
        return Err(Refusal::bad("a JSON object is expected"));
    };
    match given.keys().find(|key| !known.contains_key(*key)) {
        Some(unknown) => Err(Refusal::bad(format!("unknown field `{unknown}`"))),
        None => Ok(()),
    }
}

/// The id of an object in its table.
fn id_of<T: Resource>(state: &State, id: &str) -> Result<Id<T>, Refusal> {
    T::table(state)
        .get(id)
        .map(|row| row.id().clone())
        .ok_or_else(|| Refusal::missing(T::NOUN, id))
}

/// The owner that a test names: the platform, or a connected account.
fn owner(state: &State, account: Option<&str>) -> Result<Owner, Refusal> {
    account.map_or(Ok(Owner::Platform), |id| id_of(state, id).map(Owner::Connected))
}

const fn yes() -> bool {
    true
}

/// The moved object, or why it could not be moved.
fn moved_or_refused(moved: bool, object: Value, to: &str) -> Control {
    if moved {
        return Ok(Json(object));
    }
    let now = object.get("status").and_then(Value::as_str).unwrap_or_default();
    Err(Refusal::bad(format!("it is {now} and cannot become {to}")))
}

async fn reset(Shared(core): Shared<Arc<Core>>) -> Control {
    let seed = core.seed;
    core.with(|state| {
        let effects = EffectLog::open(state.effects.path()).map_err(Refusal::bad)?;
        state.reset(effects, seed);
        Ok(Json(state.summary()))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: u64,
}

async fn clock(Shared(core): Shared<Arc<Core>>) -> Json<Value> {
    let state = core.lock();
    Json(json!({
        "now": state.now().rfc3339(),
        "unix_ms": state.now().millis(),
        "ahead_ms": state.clock.offset_millis(),
    }))
}

async fn advance(Shared(core): Shared<Arc<Core>>, Input(by): Input<Advance>) -> Json<Value> {
    core.with(|state| {
        state.clock.advance(by.advance_seconds.saturating_mul(1_000));
        let (now, ttl) = (state.now(), state.settings.idempotency_ttl_s);
        state.keys.forget_old(now, ttl);
        state.run_due();
    });
    clock(Shared(core)).await
}

async fn settings(Shared(core): Shared<Arc<Core>>) -> Control {
    serde_json::to_value(&core.lock().settings)
        .map(Json)
        .map_err(Refusal::bad)
}

async fn change_settings(Shared(core): Shared<Arc<Core>>, Input(changes): Input<Value>) -> Control {
    known_fields::<Settings>(&changes)?;
    core.with(|state| {
        let mut merged = serde_json::to_value(&state.settings).map_err(Refusal::bad)?;
        if let (Value::Object(merged), Value::Object(changes)) = (&mut merged, changes) {
            merged.extend(changes);
        }
        state.settings = serde_json::from_value(merged.clone()).map_err(Refusal::bad)?;
        Ok(Json(merged))
    })
}

async fn webhook(Shared(core): Shared<Arc<Core>>) -> Control {
    serde_json::to_value(&core.lock().webhook)
        .map(Json)
        .map_err(Refusal::bad)
}

async fn set_webhook(Shared(core): Shared<Arc<Core>>, Input(target): Input<WebhookTarget>) -> Control {
    if !target.url.starts_with("http://") {
        return Err(Refusal::bad("`url` must begin with http://"));
    }
    core.with(|state| state.webhook = Some(target));
    webhook(Shared(core)).await
}

async fn clear_webhook(Shared(core): Shared<Arc<Core>>) -> Control {
    core.with(|state| state.webhook = None);
    webhook(Shared(core)).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutageOrder {
    ms: u64,
}

async fn outage(Shared(core): Shared<Arc<Core>>, Input(order): Input<OutageOrder>) -> Json<Value> {
    let (outage, lasting) = (core.outage.clone(), Duration::from_millis(order.ms));
    // After a moment, so that this answer still gets through.
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        outage.begin(lasting);
    });
    Json(json!({ "refusing_for_ms": order.ms, "begins_in_ms": 20 }))
}

#[derive(Deserialize)]
struct Return {
    #[serde(default)]
    return_url: String,
}

/// What the payee meets behind an account link: onboarding is complete at once, and the browser goes back.
async fn onboard(
    Shared(core): Shared<Arc<Core>>,
    Path(id): Path<String>,
    Query(back): Query<Return>,
) -> Result<Response, Refusal> {
    let account = core.with(|state| accounts::onboard(state, &id))?;
    if back.return_url.is_empty() {
        return Ok(Json(account).into_response());
    }
    Ok(Redirect::to(&back.return_url).into_response())
}
