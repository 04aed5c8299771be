//! Executes what comes over one websocket: subscriptions, a few at once, each measured and limited like a request.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use async_graphql::{Data, Executor, Request, Response};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wallet_core::accept::Caller;

use crate::errors::ApiError;
use crate::graphql::{limits, refusal};
use crate::request_id::RequestId;
use crate::routes::Shared;

/// Most subscriptions of one websocket at once; each reads the database again and again.
const MOST_SUBSCRIPTIONS: usize = 10;

/// The executor of one websocket.
#[derive(Clone)]
pub(super) struct Subscriber {
    shared: Shared,
    id: RequestId,
    places: Arc<Semaphore>,
}

impl Subscriber {
    pub(super) fn new(shared: Shared, id: RequestId) -> Self {
        Self {
            shared,
            id,
            places: Arc::new(Semaphore::new(MOST_SUBSCRIPTIONS)),
        }
    }

    async fn admit(
        &self,
        request: &mut Request,
        data: Option<&Data>,
    ) -> Result<OwnedSemaphorePermit, ApiError> {
        let caller = data.and_then(caller_of).ok_or(ApiError::Unauthenticated)?;
        let app = &self.shared.app;
        app.limiter.take(caller.user_id, 1).await?;
        let shape = limits::check(request, app.graphiql)?;
        if shape.operation != OperationType::Subscription {
            return Err(ApiError::validation(
                "query",
                "must be a subscription; send the others to POST /graphql",
            ));
        }
        let full = ApiError::LimitExceeded(
            "this websocket has as many subscriptions as it may have; end one of them",
        );
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| full)
    }
}

fn caller_of(data: &Data) -> Option<&Caller> {
    data.get(&std::any::TypeId::of::<Caller>())
        .and_then(|caller| caller.downcast_ref())
}

impl Executor for Subscriber {
    async fn execute(&self, _request: Request) -> Response {
        // The transport streams everything.
        refusal(
            &ApiError::validation("query", "must be a subscription"),
            Some(&self.id),
        )
    }

    fn execute_stream(&self, mut request: Request, data: Option<Arc<Data>>) -> BoxStream<'static, Response> {
        let subscriber = self.clone();
        async move {
            match subscriber.admit(&mut request, data.as_deref()).await {
                Ok(place) => subscriber
                    .shared
                    .schema
                    .execute_stream_with_session_data(request, data.unwrap_or_default())
                    .map(move |response| {
                        let _held_until_the_end = &place;
                        response
                    })
                    .boxed(),
                Err(error) => {
                    let response = refusal(&error, Some(&subscriber.id));
                    stream::once(async move { response }).boxed()
                }
            }
        }
        .flatten_stream()
        .boxed()
    }
}
