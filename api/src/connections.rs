//! Accepting connections, as many and for as long as is good for all of them.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::Service;

/// How long a new connection may take to send its first request.
const BEGIN_WITHIN: Duration = Duration::from_secs(10);
/// How long a connection may be silent between two requests: longer than the minute for which load balancers usually keep theirs,
/// so that it is they who close and no request meets a closing door. Also how long the head of a later request may take.
const SILENT_FOR: Duration = Duration::from_secs(75);
/// Most connections at once; more wait to be accepted.
const MOST_CONNECTIONS: usize = 4_096;
/// Most requests at once on a connection that carries several.
const MOST_STREAMS: u32 = 100;
/// The pause after the system refused to accept, for lack of descriptors for example.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections for ever.
pub(crate) async fn accept(listener: &TcpListener, router: &Router, connections: &GracefulShutdown) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let serving = serve(stream, router.clone(), connections);
        tokio::spawn(async move {
            serving.await;
            drop(place);
        });
    }
}

fn serve(
    stream: TcpStream,
    router: Router,
    connections: &GracefulShutdown,
) -> impl Future<Output = ()> + Send + use<> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY not set");
    }
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(SILENT_FOR);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(SILENT_FOR)
        .max_concurrent_streams(MOST_STREAMS);
    let begun: Arc<AtomicBool> = Arc::default();
    let service = Noting {
        router,
        begun: Arc::clone(&begun),
    };
    let connection =
        builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service));
    let watched = connections.watch(connection.into_owned());
    async move {
        let mut watched = pin!(watched);
        let early = tokio::time::timeout(BEGIN_WITHIN, &mut watched).await;
        let outcome = match early {
            Ok(outcome) => outcome,
            Err(_) if begun.load(Ordering::Relaxed) => watched.await,
            Err(_) => {
                tracing::debug!("connection closed: no request came");
                return;
            }
        };
        if let Err(error) = outcome {
            tracing::debug!(%error, "connection ended");
        }
    }
}

/// The router, noting that a request has come.
#[derive(Clone)]
struct Noting {
    router: Router,
    begun: Arc<AtomicBool>,
}

impl<R> Service<R> for Noting
where
    Router: Service<R>,
{
    type Response = <Router as Service<R>>::Response;
    type Error = <Router as Service<R>>::Error;
    type Future = <Router as Service<R>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.router.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        self.begun.store(true, Ordering::Relaxed);
        self.router.call(request)
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    use super::*;

    /// A client of a server that answers everything with "here".
    async fn client() -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(get(async || "here"));
        tokio::spawn(async move { accept(&listener, &router, &GracefulShutdown::new()).await });
        TcpStream::connect(address).await.unwrap()
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

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_never_asks_is_closed_soon() {
        for sent in [&b""[..], b"GET / HTTP/1.1\r\nho"] {
            let mut client = client().await;
            let opened = Instant::now();
            client.write_all(sent).await.unwrap();
            assert_eq!(client.read(&mut [0; 64]).await.unwrap_or(0), 0);
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
}
