//! `GET /graphql`: a query in the address, as the specification of GraphQL over HTTP allows
//! (<https://graphql.github.io/graphql-over-http/draft/#sec-GET>), or GraphiQL's page for clients that want to see a page.
//!
//! A foreign page gains nothing by it: the token is in a header, which only our own pages and allowed origins can set, and the answer is not
//! cached (`no-store`). Mutations are not accepted this way.

use std::borrow::Cow;

use axum::extract::{Extension, Query, Request, State};
use axum::http::Uri;
use axum::response::Response;
use serde_json::value::RawValue;

use super::{Sent, Unanswered, Way, answered, understood};
use crate::errors::ApiError;
use crate::request_id::RequestId;
use crate::routes::media::{Media, Preference};
use crate::routes::reply::{graphql_refusal, status_of};
use crate::routes::{Shared, graphiql};

/// The parameters of GraphQL in an address.
#[derive(Debug, Default)]
struct Asked {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
}

/// Answers a query, or shows GraphiQL.
pub(in crate::routes) async fn get(
    State(shared): State<Shared>,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let media = Media::accepted(&parts.headers);
    let asked = Asked::of(&parts.uri);
    let is_empty = matches!(&asked, Ok(asked) if asked.query.is_none() && asked.extensions.is_none());
    match Preference::stated(&parts.headers) {
        Preference::Page if shared.app.graphiql => return graphiql::page().await,
        // The client accepts anything and sends no query.
        Preference::Any if shared.app.graphiql && is_empty => return graphiql::page().await,
        Preference::Page | Preference::Any | Preference::Answer => {}
    }
    let known = match shared.app.auth.by_header(&parts.headers, &id).await {
        Ok(principal) => Some(principal.caller),
        // The same as for a request by POST.
        Err(ApiError::Unauthenticated) if shared.app.graphiql => None,
        Err(error) => return graphql_refusal(media, status_of(&error), &error, &id),
    };
    let read = || match asked {
        Ok(asked) if asked.query.is_none() && asked.extensions.is_some() => Err(Unanswered::Persisted),
        Ok(asked) => asked.request().map_err(Unanswered::Unreadable),
        Err(error) => Err(Unanswered::Unreadable(error)),
    };
    answered(&shared, &parts.headers, known, (Way::Get, read), &id).await
}

impl Asked {
    /// Reads the parameters of an address, each at most once. hyper refuses an address that is longer than a body may be (414).
    fn of(uri: &Uri) -> Result<Self, ApiError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|_| {
            ApiError::validation("query", "cannot be read; encode it as a parameter of the address")
        })?;
        let mut asked = Self::default();
        for (name, value) in pairs {
            let place = match name.as_str() {
                "query" => &mut asked.query,
                "operationName" => &mut asked.operation_name,
                "variables" => &mut asked.variables,
                "extensions" => &mut asked.extensions,
                _ => continue,
            };
            if place.replace(value).is_some() {
                return Err(ApiError::validation(
                    Cow::Owned(name),
                    "is given twice in the address",
                ));
            }
        }
        Ok(asked)
    }

    fn request(self) -> Result<async_graphql::Request, ApiError> {
        let missing = "must be sent: as the parameter `query` of the address, or as JSON to POST /graphql";
        let query = self.query.ok_or_else(|| ApiError::validation("query", missing))?;
        let variables: Option<Box<RawValue>> = self
            .variables
            .filter(|variables| !variables.is_empty())
            .map(|variables| serde_json::from_str(&variables))
            .transpose()
            .map_err(|_| ApiError::validation("variables", "must be one JSON object"))?;
        understood(Sent {
            query,
            operation_name: self.operation_name,
            variables: variables.as_deref(),
        })
    }
}
