//! HTTP: the routes, and what all responses have in common.

mod body;
mod cors;
mod graphiql;
mod graphql;
mod health;
mod media;
mod observe;
mod readiness;
mod reply;
mod socket;
#[cfg(test)]
pub(crate) mod tests;
mod webhook;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;

pub(crate) use self::graphql::parsed;
use self::readiness::Readiness;
use crate::graphql::{ApiSchema, build};
use crate::state::App;

/// The state that handlers share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) app: Arc<App>,
    pub(crate) schema: ApiSchema,
    /// Whether this process can serve.
    readiness: Arc<Readiness>,
}

/// Creates the router with all routes of the API.
pub(crate) fn router(app: Arc<App>) -> Router {
    let shared = Shared {
        app: Arc::clone(&app),
        schema: build(Arc::clone(&app)),
        readiness: Arc::default(),
    };
    let mut router = Router::new();
    if app.graphiql {
        router = router
            .route("/graphql/graphiql.js", get(graphiql::script))
            .route("/graphql/graphiql.css", get(graphiql::style));
    }
    let cors = cors::layer(&app.allowed_origins);
    router
        .route("/graphql", post(graphql::post).get(graphql::get))
        .route("/graphql/ws", get(socket::upgrade))
        .route("/wallet/webhook", post(webhook::receive))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(CatchPanicLayer::custom(observe::panicked))
        .layer(tower::util::option_layer(cors))
        .layer(from_fn_with_state(app, observe::observe))
        .with_state(shared)
}

async fn not_found() -> Response {
    reply::refusal(
        StatusCode::NOT_FOUND,
        "NOT_FOUND",
        "there is nothing at this address",
    )
}

async fn not_allowed() -> Response {
    reply::refusal(
        StatusCode::METHOD_NOT_ALLOWED,
        "METHOD_NOT_ALLOWED",
        "this address does not take this method",
    )
}
