//! What a client without a token can make the API do: nothing that takes longer than the refusal.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wallet_tests::{TestApp, User};

/// How long an answer that waits for nothing may take on any machine.
const AT_ONCE: Duration = Duration::from_secs(8);
/// More than the buffers of both ends of a connection hold.
const MUCH: usize = 64 * 1024 * 1024;

async fn connected(app: &TestApp) -> TcpStream {
    let address = app.base().strip_prefix("http://").unwrap();
    TcpStream::connect(address).await.unwrap()
}

fn head(token: &str, more: &str) -> String {
    format!(
        "POST /graphql HTTP/1.1\r\nHost: wallet\r\nContent-Type: application/json\r\nAuthorization: Bearer {token}\r\n{more}\r\n\r\n"
    )
}

/// Reads one answer: its head, and its body by the length that it names.
async fn answer(stream: &mut TcpStream) -> String {
    let reading = async {
        let mut read = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&read).into_owned();
            let length = text.to_lowercase().split("content-length: ").nth(1).map(|rest| {
                let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                digits.parse::<usize>().unwrap()
            });
            if let (Some((_, body)), Some(length)) = (text.split_once("\r\n\r\n"), length)
                && body.len() >= length
            {
                return text;
            }
            let mut piece = [0; 4096];
            let count = stream.read(&mut piece).await.unwrap();
            assert!(count > 0, "closed after {text:?}");
            read.extend_from_slice(&piece[..count]);
        }
    };
    tokio::time::timeout(AT_ONCE, reading)
        .await
        .unwrap_or_else(|_| panic!("no answer before the body"))
}

async fn ends(stream: &mut TcpStream) -> bool {
    let mut piece = [0; 4096];
    let reading = async { while !matches!(stream.read(&mut piece).await, Ok(0) | Err(_)) {} };
    tokio::time::timeout(AT_ONCE, reading).await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_is_answered_before_the_body_is_sent() {
    let app = TestApp::with_workers(0).await;
    for (more, closes) in [
        // The largest body that a request may have, and not a byte of it.
        ("Content-Length: 65536", false),
        ("Content-Length: 65537", true),
        ("Content-Length: 1000000000", true),
        ("Transfer-Encoding: chunked", true),
        ("Content-Length: 20\r\nExpect: 100-continue", true),
    ] {
        let mut stream = connected(&app).await;
        stream.write_all(head("nonsense", more).as_bytes()).await.unwrap();
        let told = answer(&mut stream).await;
        assert!(told.starts_with("HTTP/1.1 401 "), "{more}: {told}");
        assert!(told.contains("UNAUTHENTICATED"), "{more}: {told}");
        let says_so = told.to_lowercase().contains("connection: close");
        assert_eq!(says_so, closes, "{more}: {told}");
        assert!(
            ends(&mut stream).await,
            "{more}: a body that does not come is not waited for"
        );
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_s_large_body_is_not_read() {
    let app = TestApp::with_workers(0).await;
    for more in [
        format!("Content-Length: {MUCH}"),
        "Transfer-Encoding: chunked".to_owned(),
    ] {
        let mut stream = connected(&app).await;
        stream
            .write_all(head("nonsense", &more).as_bytes())
            .await
            .unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 401 "), "{more}");
        let piece = format!("10000\r\n{}\r\n", "x".repeat(65_536));
        let sending = async {
            let mut taken = 0;
            while taken < MUCH && stream.write_all(piece.as_bytes()).await.is_ok() {
                taken += piece.len();
            }
            taken
        };
        let taken = tokio::time::timeout(AT_ONCE, sending)
            .await
            .expect("the connection is left open");
        assert!(taken < MUCH, "{more}: all of it was read");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_has_ended_costs_no_connection() {
    let app = TestApp::with_workers(0).await;
    let (alice, mut stream) = (User::new(), connected(&app).await);
    let body = "{\"query\":\"{ __typename }\"}";
    let length = format!("Content-Length: {}", body.len());
    for (token, status) in [
        ("nonsense", "401"),
        (alice.token.as_str(), "200"),
        ("", "401"),
        (alice.token.as_str(), "200"),
    ] {
        let sent = format!("{}{body}", head(token, &length));
        stream.write_all(sent.as_bytes()).await.unwrap();
        let told = answer(&mut stream).await;
        assert!(told.starts_with(&format!("HTTP/1.1 {status} ")), "{told}");
    }
    app.finish().await;
}
