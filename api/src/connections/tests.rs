use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// The preface of a client that speaks HTTP/2 and its empty settings (RFC 9113, section 3.4).
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

/// A server that answers everything with "here".
async fn server(most: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(get(async || "here"));
    let connections = Connections::with_most(most, TrustedProxies::default());
    tokio::spawn(async move { connections.accept(&listener, &router).await });
    address
}

async fn client() -> TcpStream {
    TcpStream::connect(server(10).await).await.unwrap()
}

async fn ask(client: &mut TcpStream) -> String {
    client
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut answer = vec![0; 4_096];
    let length = client.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

/// Reads until the other side closes.
async fn closed(client: &mut TcpStream) {
    let mut read = [0; 1_024];
    while client.read(&mut read).await.is_ok_and(|length| length > 0) {}
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_never_asks_is_closed_soon() {
    for sent in [&b""[..], b"GET / HTTP/1.1\r\nho", HTTP2] {
        let mut client = client().await;
        let opened = Instant::now();
        client.write_all(sent).await.unwrap();
        closed(&mut client).await;
        assert!(opened.elapsed() >= BEGIN_WITHIN && opened.elapsed() < SILENT_FOR);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_asked_may_be_silent_longer_than_a_load_balancer_keeps_it() {
    let mut client = client().await;
    for _ in 0..3 {
        assert!(ask(&mut client).await.ends_with("here"));
        tokio::time::sleep(Duration::from_secs(65)).await;
    }
    let silent = Instant::now();
    assert_eq!(client.read(&mut [0; 64]).await.unwrap_or(0), 0);
    assert!(silent.elapsed() < SILENT_FOR);
}

#[tokio::test]
async fn idle_connections_of_every_kind_make_way_for_a_newcomer() {
    const MOST: usize = 20;
    let address = server(MOST).await;
    for sent in [&b""[..], HTTP2, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let mut idle = Vec::new();
        for _ in 0..2 * MOST {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(sent).await.unwrap();
            idle.push(client);
        }
        let mut newcomer = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut newcomer).await.ends_with("here"));
        // The oldest was closed to make room.
        closed(&mut idle[0]).await;
    }
}

#[tokio::test]
async fn an_ending_server_closes_idle_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(get(async || "here"));
    let connections = Connections::with_most(10, TrustedProxies::default());
    let mut client = TcpStream::connect(address).await.unwrap();
    let asking = async { assert!(ask(&mut client).await.ends_with("here")) };
    tokio::select! {
        () = connections.accept(&listener, &router) => {}
        () = asking => {}
    }
    connections.end().await;
    closed(&mut client).await;
}
