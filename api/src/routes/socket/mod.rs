//! `GET /graphql/ws`: subscriptions over the graphql-transport-ws protocol
//! (<https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>), with the token in `connection_init`.

mod closing;
mod greeting;
mod message;
mod operation;
mod session;
#[cfg(test)]
mod tests;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Extension, State};
use axum::http::{Extensions, HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tracing::Instrument;

use self::session::Visit;
use super::{Shared, cors, reply};
use crate::errors::VALIDATION_ERROR;
use crate::places::{PeerAddress, client_address};
use crate::request_id::RequestId;

/// The only protocol that is supported.
const PROTOCOL: &str = "graphql-transport-ws";
/// The maximum size of a message that is read. One above the protocol's own bound is read whole, so that its sender gets the reason.
const MOST_READ: usize = 4 * session::MOST_BYTES;

/// Opens a websocket.
pub(super) async fn upgrade(
    State(shared): State<Shared>,
    Extension(id): Extension<RequestId>,
    peer: Option<Extension<PeerAddress>>,
    headers: HeaderMap,
    extensions: Extensions,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    if !cors::may_open_socket(&headers, &shared.app.allowed_origins) {
        let fix = "pages of this origin may not use the API; add it to CORS_ALLOWED_ORIGINS";
        return reply::refusal(StatusCode::FORBIDDEN, "FORBIDDEN", fix);
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    if !speaks_our_protocol(&headers) {
        let fix = "open the websocket with the subprotocol graphql-transport-ws";
        return reply::refusal(StatusCode::BAD_REQUEST, VALIDATION_ERROR, fix);
    }
    let peer = peer.map(|Extension(peer)| peer);
    let address = client_address(peer, &headers, &shared.app.trusted_proxies);
    let Some(guest) = shared.app.sockets.open_in_turn(address).await else {
        let full = "too many websockets are open here; try again later or poll";
        return reply::refusal(StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE", full);
    };
    let visit = Visit {
        shared,
        id,
        address,
        guest,
    };
    let mut response = upgrade
        .protocols([PROTOCOL])
        .max_message_size(MOST_READ)
        .max_frame_size(MOST_READ)
        .on_upgrade(move |socket| session::serve(socket, visit).in_current_span());
    // Header names are case-insensitive, but some clients look for `Sec-WebSocket-Protocol` in exactly this spelling (Python's gql 4). hyper
    // writes names as the client wrote them if it finds, in the response, the note that it has left with the request
    // (<https://docs.rs/hyper/1/hyper/server/conn/http1/struct.Builder.html#method.preserve_header_case>).
    response.extensions_mut().extend(extensions);
    response
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
