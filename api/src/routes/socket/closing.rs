//! The reasons why a websocket ends, and their close codes.

use axum::extract::ws::{CloseFrame, Message};

use crate::errors::ApiError;

/// The reason why a websocket ends. Clients reconnect by themselves after 1001, 1013, 4403 and 4408, but not after others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Closing {
    /// The server shuts down.
    Restarting,
    /// The client no longer responds.
    Silent,
    /// A message is larger than any message of the protocol needs to be.
    TooLarge,
    /// An error inside the server.
    Internal,
    /// Something that we depend on is unavailable, or there is no place at the moment.
    TryLater(&'static str),
    /// A message that the protocol does not know.
    Invalid(String),
    /// A request came before the greeting was answered.
    Unauthorized,
    /// The token is not valid, or no longer.
    Forbidden(&'static str),
    /// No greeting came in time.
    InitTimeout,
    /// The id of an operation that is still under way.
    AlreadyExists(String),
    /// A second greeting.
    SecondInit,
}

impl Closing {
    /// Returns its code: one of RFC 6455, section 7.4.1, or above 4000 one of the protocol's own.
    const fn code(&self) -> u16 {
        match self {
            Self::Restarting | Self::Silent => 1001,
            Self::TooLarge => 1009,
            Self::Internal => 1011,
            // <https://www.iana.org/assignments/websocket/websocket.xhtml#close-code-number>
            Self::TryLater(_) => 1013,
            Self::Invalid(_) => 4400,
            Self::Unauthorized => 4401,
            Self::Forbidden(_) => 4403,
            Self::InitTimeout => 4408,
            Self::AlreadyExists(_) => 4409,
            Self::SecondInit => 4429,
        }
    }

    fn reason(self) -> String {
        match self {
            Self::Restarting => "the server is restarting".to_owned(),
            Self::Silent => "no pong came".to_owned(),
            Self::TooLarge => "the message is too large".to_owned(),
            Self::Internal => "Internal server error".to_owned(),
            Self::TryLater(why) | Self::Forbidden(why) => why.to_owned(),
            Self::Invalid(why) => format!("Invalid message: {why}"),
            Self::Unauthorized => "Unauthorized".to_owned(),
            Self::InitTimeout => "Connection initialisation timeout".to_owned(),
            Self::AlreadyExists(name) => format!("Subscriber for {name} already exists"),
            Self::SecondInit => "Too many initialisation requests".to_owned(),
        }
    }

    /// Returns the message that ends the websocket.
    pub(super) fn message(self) -> Message {
        // The maximum length of a reason in a control frame (RFC 6455, section 5.5).
        const LONGEST: usize = 123;
        let code = self.code();
        let mut reason = self.reason();
        if reason.len() > LONGEST {
            let end = (0..=LONGEST)
                .rev()
                .find(|end| reason.is_char_boundary(*end))
                .unwrap_or_default();
            reason.truncate(end);
        }
        Message::Close(Some(CloseFrame {
            code,
            reason: reason.into(),
        }))
    }
}

/// The close reason for a token that is not valid.
const FORBIDDEN: &str =
    "Forbidden: send {\"Authorization\": \"Bearer TOKEN\"} with a valid token as payload of connection_init";

/// The close reason for a token that was valid once.
const TOKEN_ENDED: &str = "Forbidden: the access token has expired or its session was ended; get a new token";

impl From<&ApiError> for Closing {
    /// Converts the error of a refused greeting into the end of the websocket.
    fn from(error: &ApiError) -> Self {
        match error {
            ApiError::Unavailable(_) | ApiError::UnavailableToKey(_) | ApiError::Paused { .. } => {
                Self::TryLater("the service is not available at the moment")
            }
            ApiError::RateLimited { .. } => Self::TryLater("too many requests"),
            ApiError::LimitExceeded(_) => Self::TryLater("too many websockets"),
            ApiError::Internal(_) => Self::Internal,
            ApiError::TokenEnded => Self::Forbidden(TOKEN_ENDED),
            _ => Self::Forbidden(FORBIDDEN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_fits_into_its_frame() {
        let Message::Close(Some(frame)) = Closing::AlreadyExists("ä".repeat(127)).message() else {
            panic!("no close")
        };
        assert_eq!(frame.code, 4409);
        assert!(frame.reason.len() <= 123 && frame.reason.starts_with("Subscriber for ä"));
    }

    #[test]
    fn a_greeting_that_fails_for_our_sake_may_be_tried_again() {
        let away = ApiError::Unavailable(std::sync::Arc::new(std::io::Error::other("down")));
        assert_eq!(Closing::from(&away).code(), 1013);
        assert_eq!(
            Closing::from(&ApiError::RateLimited { retry_after: 1 }).code(),
            1013
        );
        assert_eq!(Closing::from(&ApiError::Unauthenticated).code(), 4403);
        assert_eq!(Closing::from(&ApiError::TokenEnded).code(), 4403);
        assert_eq!(
            Closing::from(&ApiError::Forbidden("only an operator may")).code(),
            4403
        );
        let Message::Close(Some(frame)) = Closing::from(&ApiError::Unauthenticated).message() else {
            panic!("no close")
        };
        assert!(
            frame.reason.contains("connection_init") && frame.reason.ends_with("connection_init"),
            "the fix fits whole: {}",
            frame.reason
        );
        assert_eq!(Closing::from(&ApiError::internal("x")).code(), 1011);
    }
}
