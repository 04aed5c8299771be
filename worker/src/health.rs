//! The worker's own small HTTP server: health for whoever restarts it, metrics for whoever watches it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use wallet_core::config::MetricsPort;
use wallet_core::jobs::QueueName;
use wallet_core::metrics::Recorder;
use wallet_core::money_out;
use wallet_core::queue::ConsumerHealth;

use crate::metrics;
use crate::start::Obstacle;
use crate::worker::Worker;

/// A queue whose worker has not polled for this long stands still.
const STILL: Duration = Duration::from_secs(15);
/// How many ports above the default are tried when it is taken.
const PORTS_TRIED: u16 = 100;

/// What the server tells about.
pub(crate) struct Health {
    pub(crate) worker: Arc<Worker>,
    pub(crate) obstacle: Obstacle,
    pub(crate) consumers: Vec<(QueueName, ConsumerHealth)>,
    pub(crate) metrics: Recorder,
}

/// Binds the port that the configuration asks for; none when it is off.
pub(crate) async fn bind(port: MetricsPort) -> std::io::Result<Option<TcpListener>> {
    let at = |port: u16| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    match port {
        MetricsPort::Off => Ok(None),
        MetricsPort::Fixed(port) => TcpListener::bind(at(port)).await.map(Some),
        MetricsPort::FirstFreeFrom(first) => {
            let mut last = None;
            for port in first..first.saturating_add(PORTS_TRIED) {
                match TcpListener::bind(at(port)).await {
                    Ok(listener) => return Ok(Some(listener)),
                    Err(error) => last = Some(error),
                }
            }
            Err(last.unwrap_or_else(|| std::io::Error::other("no port to try")))
        }
    }
}

/// Serves until `shutdown`.
pub(crate) async fn serve(listener: TcpListener, health: Arc<Health>, shutdown: CancellationToken) {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .with_state(health);
    let served = axum::serve(listener, router)
        .with_graceful_shutdown(async move { shutdown.cancelled().await })
        .await;
    if let Err(error) = served {
        tracing::warn!(%error, "the metrics server ended");
    }
}

/// Ready while the database answers and is fit for this program, and every queue's worker has polled Redis lately.
async fn ready(State(health): State<Arc<Health>>) -> (StatusCode, String) {
    let database = health.worker.db.ping().await.is_ok();
    let mut report = format!("database {}\n", if database { "ok" } else { "unreachable" });
    let obstacle = health.obstacle.borrow().clone();
    if let Some(why) = &obstacle {
        report.push_str(&format!("no work is done yet: {why}\n"));
    }
    for (queue, consumer) in &health.consumers {
        let polled = consumer.since_last_poll();
        let line = match polled {
            Some(ago) if ago < STILL => format!("{queue} ok\n"),
            Some(ago) => format!("{queue} has not polled for {} s\n", ago.as_secs()),
            None => format!("{queue} has not polled yet\n"),
        };
        report.push_str(&line);
    }
    if !health.worker.locks.has_quorum() {
        let (up, (needed, nodes)) = (health.worker.locks.nodes_up(), health.worker.locks.needed_of());
        report.push_str(&format!(
            "lock nodes {up} of {nodes}, {needed} are needed: all money waits\n"
        ));
    }
    if let Some(since) = health.worker.calls.breakers().key().refused_since {
        report.push_str(&format!("Stripe refuses our key since {since}\n"));
    }
    if let Ok(switch) = money_out::state(&health.worker.db).await
        && !switch.is_open
    {
        let why = switch.reason.unwrap_or_default();
        let line = format!(
            "money-out stopped at {} by {}: {why}\n",
            switch.changed_at, switch.changed_by
        );
        report.push_str(&line);
    }
    // Without Redis the work waits; restarting this process would not help.
    (
        if database && obstacle.is_none() {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        },
        report,
    )
}

async fn render(State(health): State<Arc<Health>>) -> String {
    metrics::look(&health.worker).await;
    health.metrics.render()
}
