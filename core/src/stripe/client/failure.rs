//! Converts errors of the transport into what is known of a call's effect.

use super::convert;
use super::http::WireError;
use crate::stripe::errors::{ErrorClass, FailedRequest, Failure, StripeError, UNREADABLE_ANSWER, classify};

/// Classifies an error of the client. `names_account`: the request named a connected account.
pub(super) fn failure(error: WireError, names_account: bool) -> StripeError {
    match error {
        WireError::Refused(answer, status) => answered(*answer, status, names_account),
        WireError::NotConnected(_) => seen(Failure::NotSent),
        WireError::NoAnswer(_) => seen(Failure::NoAnswer),
        WireError::TooLong => {
            tracing::error!(%error, "its outcome counts as unknown");
            seen(Failure::Unreadable)
        }
        WireError::Unreadable(why) => unreadable(&why),
        WireError::NotBuilt(_) => seen(Failure::NotBuilt),
    }
}

/// Returns the error for an answer without the shape that its type promises; the request may have had its effect.
pub(super) fn unreadable(why: &str) -> StripeError {
    tracing::error!(
        why,
        "an answer of stripe could not be read: its outcome counts as unknown"
    );
    seen(Failure::Unreadable)
}

/// Returns the error for a call whose claim has ended. `has_begun`: the call may have been sent.
pub(super) fn too_late(has_begun: bool) -> StripeError {
    if has_begun {
        return seen(Failure::NoAnswer);
    }
    StripeError {
        code: Some("claim_over".to_owned()),
        ..StripeError::new(classify(Failure::NotSent))
    }
}

fn seen(failure: Failure<'_>) -> StripeError {
    let code = match failure {
        Failure::NotBuilt => "not_built",
        Failure::NotSent => "not_connected",
        Failure::Unreadable => UNREADABLE_ANSWER,
        _ => "no_answer",
    };
    StripeError {
        code: Some(code.to_owned()),
        ..StripeError::new(classify(failure))
    }
}

fn answered(answer: stripe_shared::ApiErrors, status: u16, names_account: bool) -> StripeError {
    let code = answer.code.as_ref().map(|code| code.as_str().to_owned());
    let class = classify(Failure::Answer {
        status,
        kind: answer.type_.as_str(),
        code: code.as_deref(),
        decline_code: answer.decline_code.as_deref(),
        names_account,
    });
    // Stripe writes the messages of card errors for the payer; other messages name keys, ids and parameters.
    let message = match (class, answer.message) {
        (ErrorClass::Declined | ErrorClass::AuthenticationRequired, Some(message)) => message,
        _ => class.sentence().to_owned(),
    };
    StripeError {
        status: Some(status),
        code,
        param: answer.param.map(String::into_boxed_str),
        decline_code: answer.decline_code.map(String::into_boxed_str),
        message,
        request: Box::new(FailedRequest {
            operation: None,
            id: answer.request_log_url.as_deref().and_then(request_id),
        }),
        payment_intent: answer
            .payment_intent
            .and_then(|intent| convert::payment_intent(intent).ok())
            .map(Box::new),
        ..StripeError::new(class)
    }
}

/// Returns the `req_…` of `https://dashboard.stripe.com/test/logs/req_…?t=…`.
fn request_id(log_url: &str) -> Option<String> {
    let path = log_url.split('?').next()?;
    let id = path.rsplit('/').next()?;
    let plain = id.len() <= 255
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (plain && id.starts_with("req_")).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use secrecy::SecretString;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::stripe::client::{ClientOptions, StripeClient};

    async fn call(port: u16, timeout: Duration) -> StripeError {
        let key = SecretString::from("sk_test_0123456789".to_owned());
        let options = ClientOptions {
            timeout,
            ..ClientOptions::new(key, format!("http://127.0.0.1:{port}"))
        };
        let client = StripeClient::new(&options).unwrap();
        client
            .retrieve_account(&"acct_1".parse().unwrap())
            .await
            .unwrap_err()
    }

    #[tokio::test]
    async fn a_refused_connection_is_certain_to_have_no_effect() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert_eq!(
            call(port, Duration::from_secs(5)).await.class,
            ErrorClass::Unreachable
        );
    }

    #[tokio::test]
    async fn a_connection_that_breaks_after_sending_leaves_the_outcome_unknown() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            assert!(socket.read(&mut [0; 1024]).await.unwrap() > 0);
        });
        assert_eq!(
            call(port, Duration::from_secs(5)).await.class,
            ErrorClass::Unknown
        );
        server.await.unwrap();
    }

    /// Returns the error that a call makes of this answer.
    async fn answered(answer: &'static [u8]) -> StripeError {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            assert!(socket.read(&mut [0; 1024]).await.unwrap() > 0);
            socket.write_all(answer).await.unwrap();
        });
        let error = call(port, Duration::from_secs(5)).await;
        server.await.unwrap();
        error
    }

    #[tokio::test]
    async fn an_answer_that_is_not_understood_is_about_its_call_and_one_from_the_way_about_the_lane() {
        let unknown_kind = b"HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n{\"object\":\"new\"}";
        let error = answered(unknown_kind).await;
        assert_eq!(error.class, ErrorClass::Unreadable);
        assert_eq!(error.code.as_deref(), Some(UNREADABLE_ANSWER));
        for from_the_way in [
            &b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 15\r\n\r\n<html>no</html>"[..],
            b"HTTP/1.1 503 Away\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 2\r\n\r\n\xff\xfe",
        ] {
            assert_eq!(answered(from_the_way).await.class, ErrorClass::Unknown);
        }
    }

    #[tokio::test]
    async fn no_answer_in_time_leaves_the_outcome_unknown() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(
            call(port, Duration::from_millis(50)).await.class,
            ErrorClass::Unknown
        );
    }

    /// A server whose answer has no end: nothing beyond the maximum length is read, and the requested effect may have happened.
    #[tokio::test]
    async fn an_answer_without_an_end_is_given_up_and_leaves_the_outcome_unknown() {
        for head in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n",
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = tokio::spawn(async move {
                let (mut socket, _) = listener.accept().await.unwrap();
                assert!(socket.read(&mut [0; 1024]).await.unwrap() > 0);
                socket.write_all(head.as_bytes()).await.unwrap();
                let mut sent = 0_usize;
                while socket.write_all(&[b' '; 65_536]).await.is_ok() {
                    sent += 65_536;
                }
                sent
            });
            let given_up = call(port, Duration::from_secs(60)).await;
            assert_eq!(given_up.class, ErrorClass::Unreadable, "{head}");
            assert!(!given_up.class.leaves_key_unused() && !given_up.class.ends_attempt());
            assert_eq!(given_up.code.as_deref(), Some(UNREADABLE_ANSWER));
            // Bytes that were under way when the answer was abandoned are limited by the buffers of the sockets.
            let sent = server.await.unwrap();
            assert!(sent < 32 * 1024 * 1024, "{sent} bytes were taken");
        }
    }

    #[test]
    fn the_request_id_comes_from_the_log_url() {
        let url = "https://dashboard.stripe.com/test/logs/req_Ab1?t=1700000000";
        assert_eq!(request_id(url).as_deref(), Some("req_Ab1"));
        assert_eq!(request_id("https://dashboard.stripe.com/test/logs/"), None);
        assert_eq!(request_id("req_<script>"), None);
    }

    #[test]
    fn only_card_errors_speak_to_the_user_in_words_of_stripe() {
        let told = |kind: stripe_shared::ApiErrorsType, status| {
            let answer = stripe_shared::ApiErrors {
                advice_code: None,
                charge: None,
                code: None,
                decline_code: None,
                doc_url: None,
                message: Some("Invalid API Key provided: sk_test_canary".to_owned()),
                network_advice_code: None,
                network_decline_code: None,
                param: None,
                payment_intent: None,
                payment_method: None,
                payment_method_type: None,
                request_log_url: None,
                setup_intent: None,
                source: None,
                type_: kind,
            };
            failure(WireError::Refused(Box::new(answer), status), false).message
        };
        assert!(told(stripe_shared::ApiErrorsType::CardError, 402).contains("canary"));
        for status in [400, 401, 403, 404, 409, 429, 500] {
            assert!(
                !told(stripe_shared::ApiErrorsType::InvalidRequestError, status).contains("canary"),
                "{status}"
            );
        }
    }
}
