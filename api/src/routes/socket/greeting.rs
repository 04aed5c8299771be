//! The greeting: the person who opens the websocket, and the websocket's place.

use std::sync::Arc;

use serde_json::Value;
use wallet_core::accept::Caller;
use wallet_core::ids::UserId;

use super::message::Payload;
use crate::auth::{HeldSession, Principal, bearer_token};
use crate::errors::ApiError;
use crate::places::{ClientAddress, Full, Seat};
use crate::request_id::RequestId;
use crate::state::App;

/// A person whose greeting was accepted.
#[derive(Debug)]
pub(super) struct Welcome {
    principal: Principal,
    session: Option<HeldSession>,
    _seat: Seat,
}

impl Welcome {
    /// Returns the caller.
    pub(super) const fn caller(&self) -> &Caller {
        &self.principal.caller
    }

    /// Returns whether the token has expired.
    pub(super) fn is_over(&self, app: &App) -> bool {
        self.principal.expires_at <= app.clock.now()
    }

    /// Waits until the session of the token is revoked.
    pub(super) async fn revoked(&self) {
        match &self.session {
            Some(session) => session.revoked().await,
            None => std::future::pending().await,
        }
    }
}

/// Checks the token of `connection_init` and takes the websocket's place.
///
/// # Errors
/// If the token is not valid or cannot be checked now, or if there is no place.
pub(super) async fn greet(
    app: Arc<App>,
    id: RequestId,
    address: ClientAddress,
    payload: Payload,
) -> Result<Welcome, ApiError> {
    app.schema.check()?;
    let payload = Value::Object(payload);
    let principal = app.auth.by_token(token(&payload), &id).await?;
    let person = principal.caller.user_id;
    let seat = match seat(&app, person, address).await {
        Ok(seat) => seat,
        Err(error) => {
            // A client that opens another one at once is answered less often.
            app.refusals.slow_down(person).await;
            return Err(error);
        }
    };
    let session = principal
        .session
        .clone()
        .map(|session| app.live_sessions.hold(session));
    Ok(Welcome {
        principal,
        session,
        _seat: seat,
    })
}

async fn seat(app: &App, person: UserId, address: ClientAddress) -> Result<Seat, ApiError> {
    app.limiter.take(person, 1).await?;
    app.sockets.greet(person, address).map_err(|full| {
        let told = match full {
            Full::ForOne => "you have as many websockets open as one may; close one of them",
            Full::ForEverybody => "too many websockets are open here; try again later or poll",
        };
        ApiError::LimitExceeded(told.into())
    })
}

/// Returns the token, under the names that clients use: `Authorization: "Bearer …"`, also inside `headers`, or the bare `token`.
fn token(payload: &Value) -> Option<&str> {
    let places = [payload, payload.get("headers").unwrap_or(&Value::Null)];
    let header = places.iter().find_map(|place| {
        ["Authorization", "authorization"]
            .iter()
            .find_map(|name| place.get(name).and_then(Value::as_str))
    });
    match header {
        Some(header) => bearer_token(header),
        None => payload.get("token").and_then(Value::as_str),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_found_where_clients_put_it() {
        for payload in [
            json!({ "Authorization": "Bearer abc" }),
            json!({ "authorization": "bearer abc" }),
            json!({ "headers": { "Authorization": "Bearer abc" } }),
            json!({ "token": "abc" }),
        ] {
            assert_eq!(token(&payload), Some("abc"), "{payload}");
        }
        for payload in [
            json!(null),
            json!([]),
            json!({ "Authorization": "abc" }),
            json!({ "token": 1 }),
        ] {
            assert_eq!(token(&payload), None, "{payload}");
        }
    }
}
