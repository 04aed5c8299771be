//! One operation of a websocket: a subscription, measured and limited like a request.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::parser::types::OperationType;
use async_graphql::{Data, Request, Response, Value};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, stream};
use wallet_core::accept::Caller;
use wallet_core::ids::UserId;

use super::message::Operation;
use crate::errors::ApiError;
use crate::graphql::limits::{self, Rules};
use crate::graphql::refusal;
use crate::places::{Full, Share};
use crate::request_id::RequestId;
use crate::routes::Shared;
use crate::state::App;

/// An event of an operation.
#[derive(Debug)]
pub(super) enum Event {
    /// A result.
    Next(Response),
    /// It could not be executed, or failed on the way: the last event.
    Failed(Response),
    /// It has finished: the last event.
    Done,
}

impl Event {
    /// Errors without data are the operation's end: it was refused, or its stream broke. If a field within a result has failed and made
    /// the whole result null, that is still a result, and the next one may succeed.
    fn of(response: Response) -> Self {
        let is_result = response.errors.iter().any(|error| error.path.len() > 1);
        if response.data == Value::Null && !response.errors.is_empty() && !is_result {
            Self::Failed(response)
        } else {
            Self::Next(response)
        }
    }
}

/// Executes an operation for its caller; the stream ends with the operation.
pub(super) fn run(
    shared: &Shared,
    id: &RequestId,
    caller: &Caller,
    operation: Operation,
) -> BoxStream<'static, Event> {
    let (shared, id, caller) = (shared.clone(), id.clone(), caller.clone());
    let starting = async move {
        let person = caller.user_id;
        match admit(&shared, &caller, operation).await {
            Ok((request, admitted)) => {
                let mut data = Data::default();
                data.insert(caller);
                data.insert(id);
                let results = shared
                    .schema
                    .execute_stream_with_session_data(request, Arc::new(data));
                paid(shared.app, person, admitted.heavy, results.boxed())
                    .map(move |response| {
                        let _held_until_the_end = &admitted.place;
                        Event::of(response)
                    })
                    .boxed()
            }
            Err(error) => {
                if matches!(error, ApiError::RateLimited { .. } | ApiError::LimitExceeded(_)) {
                    shared.app.refusals.slow_down(person).await;
                }
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

/// Returns the results. The first was paid for with the subscription; every other one is fetched once the person can pay for it: an
/// event costs what its answer costs beyond the usual.
fn paid(
    app: Arc<App>,
    person: UserId,
    heavy: u32,
    results: BoxStream<'static, Response>,
) -> BoxStream<'static, Response> {
    if heavy == 0 {
        return results;
    }
    let next = move |(mut results, is_due): (BoxStream<'static, Response>, bool)| {
        let app = Arc::clone(&app);
        async move {
            while is_due
                && let Err(ApiError::RateLimited { retry_after }) = app.limiter.take(person, heavy).await
            {
                tokio::time::sleep(Duration::from_secs(retry_after)).await;
            }
            let response = results.next().await?;
            Some((response, (results, true)))
        }
    };
    stream::unfold((results, false), next).boxed()
}

/// The place and the price of a subscription that was let in.
struct Admitted {
    place: Share<UserId>,
    /// The cost of each of its events beyond the usual.
    heavy: u32,
}

async fn admit(
    shared: &Shared,
    caller: &Caller,
    operation: Operation,
) -> Result<(Request, Admitted), ApiError> {
    let app = &shared.app;
    // As for a request over HTTP: reading costs, and takes one of the person's turns.
    app.limiter.take(caller.user_id, 1).await?;
    let turn = app.turns.take(caller.user_id).await?;
    let mut request = Request::try_from(operation)?;
    let checked = limits::check(&mut request, Rules::of(app));
    let cost = checked.as_ref().map_or(1, |shape| shape.cost());
    drop(turn);
    app.limiter.take_rest(caller.user_id, cost).await?;
    if checked?.operation != OperationType::Subscription {
        return Err(ApiError::validation(
            "query",
            "must be a subscription; send the others to POST /graphql",
        ));
    }
    let place = app.sockets.subscribe(caller.user_id).map_err(|full| {
        let told = match full {
            Full::ForOne => "you have as many subscriptions as one may have; end one of them",
            Full::ForEverybody => "too many subscriptions are open here; try again later or poll",
        };
        ApiError::LimitExceeded(told.into())
    })?;
    let heavy = cost.saturating_sub(1);
    Ok((request, Admitted { place, heavy }))
}
