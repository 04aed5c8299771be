//! One operation of a websocket: a subscription, measured and limited like a request.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use async_graphql::{Data, Request, Response, Value};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, stream};
use wallet_core::accept::Caller;
use wallet_core::ids::UserId;

use crate::errors::ApiError;
use crate::graphql::{limits, refusal};
use crate::places::{Full, Share};
use crate::request_id::RequestId;
use crate::routes::Shared;

/// What comes of an operation.
#[derive(Debug)]
pub(super) enum Event {
    /// A result.
    Next(Response),
    /// It could not be executed, or not any further: the last event.
    Failed(Response),
    /// It has come to its end: the last event.
    Done,
}

impl Event {
    /// Errors without data are the operation's end: it was refused, or its stream broke. A field within a result that failed, and took the
    /// whole result with it, is a result all the same, and the next one may succeed.
    fn of(response: Response) -> Self {
        let is_result = response.errors.iter().any(|error| error.path.len() > 1);
        if response.data == Value::Null && !response.errors.is_empty() && !is_result {
            Self::Failed(response)
        } else {
            Self::Next(response)
        }
    }
}

/// Executes an operation for its caller; the events end with its end.
pub(super) fn run(
    shared: &Shared,
    id: &RequestId,
    caller: &Caller,
    mut request: Request,
) -> BoxStream<'static, Event> {
    let (shared, id, caller) = (shared.clone(), id.clone(), caller.clone());
    let starting = async move {
        match admit(&shared, &caller, &mut request).await {
            Ok(place) => {
                let mut data = Data::default();
                data.insert(caller);
                data.insert(id);
                shared
                    .schema
                    .execute_stream_with_session_data(request, Arc::new(data))
                    .map(move |response| {
                        let _held_until_the_end = &place;
                        Event::of(response)
                    })
                    .boxed()
            }
            Err(error) => {
                let response = refusal(&error, Some(&id));
                stream::once(async move { Event::Failed(response) }).boxed()
            }
        }
    };
    starting
        .flatten_stream()
        .chain(stream::once(async { Event::Done }))
        .boxed()
}

async fn admit(shared: &Shared, caller: &Caller, request: &mut Request) -> Result<Share<UserId>, ApiError> {
    let app = &shared.app;
    // As for a request over HTTP: reading costs, and takes one of the person's turns.
    app.limiter.take(caller.user_id, 1).await?;
    let turn = app.turns.take(caller.user_id).await?;
    let checked = limits::check(request, app.rules());
    let cost = checked.as_ref().map_or(1, |shape| shape.cost());
    drop(turn);
    app.limiter.take_rest(caller.user_id, cost).await?;
    if checked?.operation != OperationType::Subscription {
        return Err(ApiError::validation(
            "query",
            "must be a subscription; send the others to POST /graphql",
        ));
    }
    app.sockets.subscribe(caller.user_id).map_err(|full| {
        let told = match full {
            Full::ForOne => "you have as many subscriptions as one may have; end one of them",
            Full::ForEverybody => "too many subscriptions are open here; try again later or poll",
        };
        ApiError::LimitExceeded(told.into())
    })
}
