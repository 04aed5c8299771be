//! `POST /graphql`: one operation as JSON. `GET /graphql`: one query in the address ([`address`]).

mod address;

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use axum::response::Response;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use wallet_core::accept::Caller;

use super::body::Unread;
use super::media::Media;
use super::reply::{graphql_answer, graphql_refusal, no_persisted_queries, no_query, status_of};
use super::{Shared, body};
use crate::context::{HeaderKey, Spent};
use crate::errors::ApiError;
use crate::exact;
use crate::graphql::DebtsOfRequest;
use crate::graphql::limits::{self, Rules, Shape};
use crate::request_id::RequestId;

/// The maximum size of a request's body, in bytes.
const MOST_BYTES: usize = 64 * 1024;
const IDEMPOTENCY_KEY: &str = "idempotency-key";

pub(super) use self::address::get;

/// How a request was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Post,
    /// In an address, which may be followed, repeated and stored without anybody's intention: for queries only.
    Get,
}

/// Executes one operation.
pub(super) async fn post(
    State(shared): State<Shared>,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Response {
    let (parts, sent) = request.into_parts();
    let media = Media::accepted(&parts.headers);
    let invalid = |status, field, problem: &str| {
        graphql_refusal(media, status, &ApiError::validation(field, problem), &id)
    };
    // The caller is authenticated before anything is read: the body of a stranger is left unread.
    let known = match shared.app.auth.by_header(&parts.headers, &id).await {
        Ok(principal) => Some(principal.caller),
        // GraphiQL shows the schema before a token is entered.
        Err(ApiError::Unauthenticated) if shared.app.graphiql => None,
        Err(error) => {
            let mut refusal = graphql_refusal(media, status_of(&error), &error, &id);
            let ends = body::leave(sent, &parts.headers) && parts.version < Version::HTTP_2;
            if ends {
                let close = HeaderValue::from_static("close");
                refusal.headers_mut().insert(header::CONNECTION, close);
            }
            return refusal;
        }
    };
    if !is_json(&parts.headers) {
        body::drain(sent).await;
        return invalid(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Content-Type",
            "must be application/json",
        );
    }
    let person = known.as_ref().map(|caller| caller.user_id);
    let bytes = match body::read(sent, MOST_BYTES, shared.app.requests.room(person)).await {
        Ok(bytes) => bytes,
        Err(Unread::Crowded) => {
            let crowded = ApiError::Paused { retry_after: 1 };
            return graphql_refusal(media, status_of(&crowded), &crowded, &id);
        }
        Err(why) => return invalid(why.status(), "body", why.problem()),
    };
    let read = || match without_query(&bytes) {
        Some(why) => Err(why),
        None => Ok(parsed(&bytes)?),
    };
    answered(&shared, &parts.headers, known, (Way::Post, read), &id).await
}

/// Answers a request, which is read only once its caller is let in.
async fn answered(
    shared: &Shared,
    headers: &HeaderMap,
    known: Option<Caller>,
    (way, read): (Way, impl FnOnce() -> Result<async_graphql::Request, Unanswered>),
    id: &RequestId,
) -> Response {
    let media = Media::accepted(headers);
    let person = known.as_ref().map(|caller| caller.user_id);
    let answer = match known {
        Some(caller) => execute(shared, headers, caller, (way, read), id).await,
        None => introspect(shared, read, id).await,
    };
    match answer {
        Ok(response) => graphql_answer(media, response),
        Err(Unanswered::Persisted) => no_persisted_queries(media),
        Err(Unanswered::NoQuery) => no_query(media),
        Err(Unanswered::Unreadable(error)) => graphql_refusal(media, StatusCode::BAD_REQUEST, &error, id),
        Err(Unanswered::Refused(error)) => {
            if let (ApiError::RateLimited { .. }, Some(person)) = (&error, person) {
                shared.app.refusals.slow_down(person).await;
            }
            graphql_refusal(media, status_of(&error), &error, id)
        }
    }
}

/// The reason why a request has no result.
enum Unanswered {
    /// Instead of a query, it names one that was sent before, or that the client believes to be known here.
    Persisted,
    /// It holds no query.
    NoQuery,
    /// Its body is not a request.
    Unreadable(ApiError),
    Refused(ApiError),
}

impl From<ApiError> for Unanswered {
    fn from(error: ApiError) -> Self {
        match &error {
            ApiError::Validation { field, .. } if field == "body" => Self::Unreadable(error),
            _ => Self::Refused(error),
        }
    }
}

/// Returns why a body that is a request without a query is not answered, or `None` for any other body.
fn without_query(body: &[u8]) -> Option<Unanswered> {
    #[derive(Deserialize)]
    struct Asked<'a> {
        query: Option<IgnoredAny>,
        #[serde(borrow)]
        extensions: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Extensions {
        persisted_query: Option<IgnoredAny>,
    }
    if body.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    let asked: Asked<'_> = serde_json::from_slice(body).ok()?;
    if asked.query.is_some() {
        return None;
    }
    let names_one = asked
        .extensions
        .and_then(|sent| serde_json::from_str::<Extensions>(sent.get()).ok())
        .is_some_and(|sent| sent.persisted_query.is_some());
    Some(if names_one {
        Unanswered::Persisted
    } else {
        Unanswered::NoQuery
    })
}

/// A request as it is sent; a duplicate key is refused.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent<'a> {
    #[serde(default)]
    query: String,
    operation_name: Option<String>,
    #[serde(borrow)]
    variables: Option<&'a RawValue>,
}

/// Parses one request. A list is refused: it would be a batch, or the fields of a request without their names.
pub(crate) fn parsed(body: &[u8]) -> Result<async_graphql::Request, ApiError> {
    let problem = "must be one JSON object with query, and operationName and variables if needed";
    let unreadable = || ApiError::validation("body", problem);
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(unreadable());
    }
    let sent: Sent<'_> = serde_json::from_slice(body).map_err(|_| unreadable())?;
    understood(sent)
}

fn understood(sent: Sent<'_>) -> Result<async_graphql::Request, ApiError> {
    let variables = sent.variables.map(exact::variables).transpose()?;
    let mut request = async_graphql::Request::new(sent.query).variables(variables.unwrap_or_default());
    request.operation_name = sent.operation_name;
    Ok(request)
}

/// Executes the request of a person.
async fn execute(
    shared: &Shared,
    headers: &HeaderMap,
    caller: Caller,
    (way, read): (Way, impl FnOnce() -> Result<async_graphql::Request, Unanswered>),
    id: &RequestId,
) -> Result<async_graphql::Response, Unanswered> {
    let app = &shared.app;
    app.schema.check()?;
    // A person over the limit is refused before anything is read, and no person's requests keep the process busy alone. Reading costs,
    // whatever its outcome: otherwise requests that are refused afterwards, for example as too expensive, would be free.
    app.limiter.take(caller.user_id, 1).await?;
    let turn = app.turns.take(caller.user_id).await?;
    let mut request = read()?;
    if way == Way::Get && limits::kind(&request).is_some_and(|kind| kind != OperationType::Query) {
        return Err(ApiError::OnlyByPost.into());
    }
    let checked = limits::check(&mut request, Rules::of(app));
    let cost = checked.as_ref().map_or(1, |shape| shape.cost());
    app.limiter.take_rest(caller.user_id, cost).await?;
    let shape = checked?;
    if shape.operation == OperationType::Subscription {
        let fix = "holds a subscription: subscribe over a websocket at /graphql/ws, by the protocol graphql-transport-ws";
        return Err(ApiError::validation("query", fix).into());
    }
    let key = header_key(headers, shape)?;
    let (person, spent) = (caller.user_id, Arc::new(Spent::default()));
    let request = request
        .data(caller)
        .data(id.clone())
        .data(key)
        .data(Arc::new(turn))
        .data(Arc::clone(&spent))
        .data(DebtsOfRequest::default());
    let response = shared.schema.execute(request).await;
    // It was let in at the usual cost; what it actually used counts as well.
    let more = shape.cost_of(spent.bytes(), spent.reads()).saturating_sub(cost);
    app.limiter.charge(person, more).await;
    Ok(response)
}

/// Answers a client without a token, who may ask for the schema and nothing else.
async fn introspect(
    shared: &Shared,
    read: impl FnOnce() -> Result<async_graphql::Request, Unanswered>,
    id: &RequestId,
) -> Result<async_graphql::Response, Unanswered> {
    let unknown = || Unanswered::Refused(ApiError::Unauthenticated);
    let mut request = read().map_err(|_| unknown())?;
    match limits::check(&mut request, Rules::of(&shared.app)) {
        Ok(shape) if shape.is_introspection => Ok(shared
            .schema
            .execute(request.data(id.clone()).only_introspection())
            .await),
        _ => Err(unknown()),
    }
}

/// Returns the `Idempotency-Key` of the only mutation in a request; for a query it has no meaning.
fn header_key(headers: &HeaderMap, shape: Shape) -> Result<HeaderKey, ApiError> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next().filter(|_| shape.mutations > 0) else {
        return Ok(HeaderKey(None));
    };
    let wrong = |problem: &str| ApiError::validation("idempotencyKey", problem);
    if values.next().is_some() {
        return Err(wrong("is given by two Idempotency-Key headers"));
    }
    if shape.mutations > 1 {
        return Err(wrong(
            "cannot stand for several mutations; give each its own in the input instead of the header",
        ));
    }
    let text = value
        .to_str()
        .map_err(|_| wrong("must be 1 to 255 visible ASCII characters without blanks"))?;
    Ok(HeaderKey(Some(text.to_owned())))
}

/// Returns whether the body is declared as JSON: any other type can be sent by a form of a foreign page.
fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let Ok(text) = value.to_str() else { return false };
    let (kind, parameters) = text.split_once(';').unwrap_or((text, ""));
    let charset = parameters.trim();
    kind.trim().eq_ignore_ascii_case("application/json")
        && (charset.is_empty() || charset.replace('"', "").eq_ignore_ascii_case("charset=utf-8"))
}
