//! The control endpoint, `/_control/…`: what a test may order the simulator to do. JSON in, JSON out, no key.
//!
//! Every call is described with an example in `README.md`.

mod faults;
mod inspect;
mod machine;
mod money_back;
mod payees;
mod payers;

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Path, Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{delete, get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::errors::ApiError;
use crate::objects::{Id, Owner};
use crate::resources::accounts;
use crate::shared::Core;
use crate::state::{Move, State, Stored, Timer};

/// Returns the routes of the control endpoint and of the onboarding page behind account links.
pub(crate) fn router() -> Router<Arc<Core>> {
    Router::new()
        .route("/_control/state", get(inspect::state))
        .route("/_control/effects", get(inspect::effects))
        .route("/_control/deliveries", get(inspect::deliveries))
        .route("/_control/reset", post(machine::reset))
        .route("/_control/clock", get(machine::clock).post(machine::advance))
        .route(
            "/_control/settings",
            get(machine::settings).post(machine::change_settings),
        )
        .route(
            "/_control/webhook",
            get(machine::webhook)
                .post(machine::set_webhook)
                .delete(machine::clear_webhook),
        )
        .route("/_control/outage", post(machine::outage))
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
        .route("/_control/payment_intents/{id}/action", post(payers::ask_payer))
        .route(
            "/_control/payment_intents/{id}/settle",
            post(payers::settle_intent),
        )
        .route(
            "/_control/payment_intents/{id}/receive",
            post(payers::receive_for_intent),
        )
        .route("/_control/accounts", post(payees::create_account))
        .route("/_control/accounts/{id}", post(payees::change_account))
        .route(
            "/_control/accounts/{id}/deauthorize",
            post(payees::deauthorize_account),
        )
        .route("/_control/payouts/{id}", post(payees::move_payout))
        .route(
            "/_control/transfers/{id}/reverse",
            post(money_back::reverse_transfer),
        )
        .route("/_control/refunds", post(money_back::refund))
        .route("/_control/refunds/{id}", post(money_back::move_refund))
        .route("/_control/disputes", post(money_back::open_dispute))
        .route("/_control/disputes/{id}", post(money_back::move_dispute))
        .route("/_control/disputes/{id}/funds", post(money_back::move_funds))
        .route("/_control/balance/top_up", post(payees::top_up))
        .route("/_control/balance/reserve", post(payees::reserve))
        .route("/_control/balance/keep_back", post(payees::keep_back))
        .route("/_setup/{id}", get(onboard))
}

/// The response to a control call.
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

/// A JSON body. Errors in it are answered in JSON too; an empty body counts as `{}`.
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

/// Returns the id of an existing object.
fn id_of<T: Stored>(state: &State, id: &str) -> Result<Id<T>, Refusal> {
    T::table(state)
        .get(id)
        .map(|row| row.id().clone())
        .ok_or_else(|| Refusal::missing(T::NOUN, id))
}

/// Returns the owner that a test names: the platform, or a connected account.
fn owner(state: &State, account: Option<&str>) -> Result<Owner, Refusal> {
    account.map_or(Ok(Owner::Platform), |id| id_of(state, id).map(Owner::Connected))
}

const fn yes() -> bool {
    true
}

/// Moves the object called `id` now, or in `after_seconds`. Returns the object, or why it could not be moved.
fn move_or_plan<T: Stored>(
    state: &mut State,
    id: &Id<T>,
    what: Move,
    to: &str,
    after_seconds: u64,
) -> Control {
    if after_seconds > 0 {
        return Ok(plan(state, what, after_seconds));
    }
    let moved = what.carry_out(state);
    let object = state.rendered(id);
    if moved {
        return Ok(Json(object));
    }
    let now = object.get("status").and_then(Value::as_str).unwrap_or_default();
    Err(Refusal::bad(format!("it is {now} and cannot become {to}")))
}

/// Plans a move for later, by the simulator's clock.
fn plan(state: &mut State, what: Move, after_seconds: u64) -> Json<Value> {
    let millis = after_seconds.saturating_mul(1_000);
    let due = state.now().plus_millis(millis);
    state.plan(millis, Timer::Ordered(what));
    Json(json!({ "planned_for": due.rfc3339() }))
}

#[derive(Deserialize)]
struct Return {
    #[serde(default)]
    return_url: String,
}

/// Serves the page behind an account link: onboarding is complete at once, and the browser is redirected back.
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
