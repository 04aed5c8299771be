//! The HTTP side: the shared state, and the router of the API and the control endpoint.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State as Shared};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware;
use axum::response::Response;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::control;
use crate::keeping::Keeping;
use crate::listener::{Cut, Outage};
use crate::request::{Request, plain};
use crate::state::State;

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
    keeping: Option<Keeping>,
}

impl Core {
    /// Puts a state behind the lock.
    pub(crate) fn new(
        state: State,
        secret_key: Option<String>,
        outage: Outage,
        seed: u64,
        keeping: Option<Keeping>,
    ) -> Self {
        Self {
            state: Mutex::new(state),
            secret_key,
            wake: Notify::new(),
            outage,
            stop: CancellationToken::new(),
            seed,
            keeping,
        }
    }

    /// Locks the state. Everything that is due has happened by then.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.run_due() {
            self.note_change();
        }
        state
    }

    /// The file of the state, if it is kept in one.
    pub(crate) const fn keeping(&self) -> Option<&Keeping> {
        self.keeping.as_ref()
    }

    /// Returns when whatever has changed until now is in the file, if there is one: before anybody is told of it.
    pub(crate) async fn kept(&self) {
        if let Some(keeping) = &self.keeping {
            keeping.kept().await;
        }
    }

    fn note_change(&self) {
        if let Some(keeping) = &self.keeping {
            keeping.note_change();
        }
    }

    /// Does something with the state, then wakes the delivery task.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let result = {
            let mut state = self.lock();
            let result = work(&mut state);
            self.note_change();
            result
        };
        self.wake.notify_one();
        result
    }
}

/// The whole HTTP interface.
pub(crate) fn router(core: Arc<Core>) -> Router {
    let kept = middleware::from_fn_with_state(Arc::clone(&core), once_kept);
    control::router().fallback(api).layer(kept).with_state(core)
}

/// Answers when what the answer tells is in the file.
async fn once_kept(
    Shared(core): Shared<Arc<Core>>,
    request: axum::extract::Request,
    next: middleware::Next,
) -> Response {
    let response = next.run(request).await;
    core.kept().await;
    response
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
