//! The answers of routes, and those of `/graphql` that the GraphQL engine does not give itself.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::media::Media;
use crate::errors::ApiError;
use crate::graphql;
use crate::metrics::count_error;
use crate::request_id::RequestId;

/// Returns a refusal of a route that is not GraphQL: `{"error": {"code", "message"}}`.
pub(super) fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    (
        status,
        Json(json!({ "error": { "code": code, "message": message } })),
    )
        .into_response()
}

/// Returns GraphQL's answer. A request that was not executed (syntax, types, limits) is refused: with 400 and no `data` if the client
/// reads that.
pub(super) fn graphql_answer(media: Media, response: async_graphql::Response) -> Response {
    let is_refused = response.data == async_graphql::Value::Null
        && !response.errors.is_empty()
        && response.errors.iter().all(|error| error.path.is_empty());
    if is_refused && media == Media::GraphqlResponse {
        return refused(media, StatusCode::BAD_REQUEST, &response.errors);
    }
    let mut answer = Json(response).into_response();
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, media.content_type());
    answer
}

/// Returns a refusal of `/graphql` before GraphQL: a body of GraphQL's shape, with a status that says why.
pub(super) fn graphql_refusal(
    media: Media,
    status: StatusCode,
    error: &ApiError,
    id: &RequestId,
) -> Response {
    let refusal = graphql::refusal(error, Some(id));
    let mut response = match media {
        Media::GraphqlResponse if status == StatusCode::OK => {
            refused(media, StatusCode::BAD_REQUEST, &refusal.errors)
        }
        Media::GraphqlResponse => refused(media, status, &refusal.errors),
        Media::Json => (status, Json(refusal)).into_response(),
    };
    let headers = response.headers_mut();
    match error {
        ApiError::RateLimited { retry_after } | ApiError::Paused { retry_after } => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(*retry_after));
        }
        ApiError::OnlyByPost => {
            headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        ApiError::Unauthenticated => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // RFC 6750, section 3.1.
        ApiError::TokenEnded => {
            let ended = HeaderValue::from_static("Bearer error=\"invalid_token\"");
            headers.insert(header::WWW_AUTHENTICATE, ended);
        }
        _ => {}
    }
    response
}

fn refused(media: Media, status: StatusCode, errors: &[async_graphql::ServerError]) -> Response {
    let kind = [(header::CONTENT_TYPE, media.content_type())];
    (status, kind, json!({ "errors": errors }).to_string()).into_response()
}

/// Answers a client that sends the name of a document instead of the document; it sends the document then. Such clients look for
/// exactly these words, which are not in our table of codes (<https://www.apollographql.com/docs/apollo-server/performance/apq>).
pub(super) fn no_persisted_queries(media: Media) -> Response {
    without_query(media, "PersistedQueryNotSupported")
}

/// Answers a client that has sent neither a query nor the digest of one: a person reads the message, and no program looks for its words.
pub(super) fn no_query(media: Media) -> Response {
    let fix =
        "the request has no query: send the document in the field query; persisted queries are not supported";
    without_query(media, fix)
}

fn without_query(media: Media, message: &str) -> Response {
    count_error(PERSISTED_QUERY_NOT_SUPPORTED);
    let mut error = async_graphql::ServerError::new(message, None);
    error
        .extensions
        .get_or_insert_default()
        .set("code", PERSISTED_QUERY_NOT_SUPPORTED);
    refused(media, StatusCode::BAD_REQUEST, &[error])
}

const PERSISTED_QUERY_NOT_SUPPORTED: &str = "PERSISTED_QUERY_NOT_SUPPORTED";

/// Returns the status of an error that ends a request before GraphQL.
pub(super) const fn status_of(error: &ApiError) -> StatusCode {
    match error {
        ApiError::Unauthenticated | ApiError::TokenEnded => StatusCode::UNAUTHORIZED,
        ApiError::OnlyByPost => StatusCode::METHOD_NOT_ALLOWED,
        ApiError::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
        ApiError::Unavailable(_) | ApiError::UnavailableToKey(_) | ApiError::Paused { .. } => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ApiError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        // A refusal by GraphQL is a result of GraphQL.
        _ => StatusCode::OK,
    }
}
