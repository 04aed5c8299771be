//! Answers that are not GraphQL's own.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::errors::ApiError;
use crate::graphql;
use crate::request_id::RequestId;

/// A refusal of a route that is not GraphQL: `{"error": {"code", "message"}}`.
pub(super) fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    (
        status,
        Json(json!({ "error": { "code": code, "message": message } })),
    )
        .into_response()
}

/// A refusal of `/graphql` before GraphQL: a body of GraphQL's shape under a status that says why.
pub(super) fn graphql_refusal(status: StatusCode, error: &ApiError, id: &RequestId) -> Response {
    let mut response = (status, Json(graphql::refusal(error, Some(id)))).into_response();
    let headers = response.headers_mut();
    match error {
        ApiError::RateLimited { retry_after } => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(*retry_after));
        }
        ApiError::Unauthenticated => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        _ => {}
    }
    response
}

/// The status of an error that ends a request before GraphQL.
pub(super) const fn status_of(error: &ApiError) -> StatusCode {
    match error {
        ApiError::Unauthenticated => StatusCode::UNAUTHORIZED,
        ApiError::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
        ApiError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        ApiError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        // What GraphQL refuses is a result of GraphQL.
        _ => StatusCode::OK,
    }
}
