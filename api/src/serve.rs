//! Serves the API, from a listener to the end of the last request.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wallet_core::clock::SharedClock;
use wallet_core::config::ApiConfig;

use crate::connections::Connections;
use crate::routes::router;
use crate::serve_error::ServeError;
use crate::state::App;

/// How long the background tasks may take to end: the last jobs are dispatched.
const BACKGROUND_WITHIN: Duration = Duration::from_secs(2);

/// Serves the API on `listener` until `shutdown` is cancelled, then lets open requests finish within the configured grace.
///
/// Neither PostgreSQL nor Redis has to be available: until they are, requests are refused, or accepted without a dispatch.
///
/// # Errors
/// If a value of the configuration cannot be used; nothing was served then.
pub async fn serve(
    config: ApiConfig,
    clock: SharedClock,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let stopped = CancellationToken::new();
    // However this function ends, its tasks do not outlive it.
    let _stop = stopped.clone().drop_guard();
    let app = App::new(&config, clock, stopped.clone()).await?;
    let address = listener.local_addr().map_err(ServeError::Listener)?;
    tracing::info!(%address, graphiql = app.graphiql, "serving");

    let connections = Connections::new(app.trusted_proxies.clone());
    let router = router(Arc::clone(&app));
    let draining = async {
        shutdown.cancelled().await;
        app.drain();
        tracing::info!("ending: not ready for new requests");
        // Load balancers notice this before connections are refused.
        tokio::time::sleep((config.shutdown_grace / 20).min(Duration::from_secs(1))).await;
    };
    tokio::select! {
        () = connections.accept(&listener, &router) => {}
        () = draining => {}
    }
    drop(listener);
    app.closing.cancel();
    let ending = async {
        connections.end().await;
        app.tasks.close();
        app.tasks.wait().await;
    };
    if timeout(config.shutdown_grace, ending).await.is_err() {
        tracing::warn!("some requests did not end within the grace");
    }
    stopped.cancel();
    // A worker's dispatcher finds the jobs that are not dispatched by then.
    app.background.close();
    if timeout(BACKGROUND_WITHIN, app.background.wait()).await.is_err() {
        tracing::warn!("what runs in the background did not end");
    }
    tracing::info!("ended");
    Ok(())
}
