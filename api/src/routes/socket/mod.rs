//! `GET /graphql/ws`: subscriptions over the graphql-transport-ws protocol
//! (<https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>), with the token in `connection_init`.

mod session;
mod subscriber;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use tracing::Instrument;

use super::{Shared, reply};
use crate::errors::VALIDATION_ERROR;
use crate::request_id::RequestId;

/// The one protocol spoken here.
const PROTOCOL: &str = "graphql-transport-ws";
/// Largest message of a client, as for a request over HTTP.
const MOST_BYTES: usize = 64 * 1024;

/// Opens a websocket.
pub(super) async fn upgrade(
    State(shared): State<Shared>,
    Extension(id): Extension<RequestId>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !speaks_our_protocol(&headers) {
        let mend = "open the websocket with the subprotocol graphql-transport-ws";
        return reply::refusal(StatusCode::BAD_REQUEST, VALIDATION_ERROR, mend);
    }
    let Ok(place) = shared.app.sockets.clone().try_acquire_owned() else {
        let full = "too many websockets are open here; try again later or poll";
        return reply::refusal(StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE", full);
    };
    upgrade
        .protocols([PROTOCOL])
        .max_message_size(MOST_BYTES)
        .max_frame_size(MOST_BYTES)
        .on_upgrade(move |socket| {
            async move {
                session::serve(socket, shared, id).await;
                drop(place);
            }
            .in_current_span()
        })
}

fn speaks_our_protocol(headers: &HeaderMap) -> bool {
    let offered = headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok());
    offered
        .flat_map(|value| value.split(','))
        .any(|protocol| protocol.trim() == PROTOCOL)
}
