//! The HTTP side: the shared state, and the router of the API and the control endpoint.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State as Shared};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::control;
use super::listener::{Cut, Outage};
use super::request::{Request, plain};
use super::state::State;

/// What requests, control calls and background tasks share.
#[derive(Debug)]
pub(crate) struct Core {
    state: Mutex<State>,
    /// The only accepted secret key, if there is one.
    pub(crate) secret_key: Option<String>,
    /// Tells the delivery task that something may be due.
    pub(crate) wake: Notify,
    pub(crate) outage: Outage,
    pub(crate) stop: CancellationToken,
    /// Seeds the generator again on reset.
    pub(crate) seed: u64,
}

impl Core {
    /// Puts a state behind the lock.
    pub(crate) fn new(state: State, secret_key: Option<String>, outage: Outage, seed: u64) -> Self {
        Self {
            state: Mutex::new(state),
            secret_key,
            wake: Notify::new(),
            outage,
            stop: CancellationToken::new(),
            seed,
        }
    }

    /// Locks the state. Everything that is due has happened by then.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.run_due();
        state
    }

    /// Does something with the state, then wakes the delivery task.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let result = work(&mut self.lock());
        self.wake.notify_one();
        result
    }
}

/// The whole HTTP interface.
pub(crate) fn router(core: Arc<Core>) -> Router {
    control::router().fallback(api).with_state(core)
}

async fn api(
    Shared(core): Shared<Arc<Core>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // A task of its own: Stripe finishes a request also when the client has gone.
    let request = Request {
        method,
        uri,
        headers,
        body,
    };
    let worked = tokio::spawn(async move { request.work(&core, &cut).await }).await;
    worked.unwrap_or_else(|error| {
        tracing::error!(%error, "a request of the simulator failed");
        plain(StatusCode::INTERNAL_SERVER_ERROR)
    })
}
