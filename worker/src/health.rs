//! The worker's own small HTTP server: health for its supervisor, metrics for monitoring.

use std::io::ErrorKind;
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
use wallet_core::crypto::Covered;
use wallet_core::jobs::QueueName;
use wallet_core::metrics::Recorder;
use wallet_core::money_out;
use wallet_core::queue::ConsumerHealth;

use crate::metrics;
use crate::start::Obstacle;
use crate::worker::Worker;

/// A queue whose consumer has not polled for this long counts as stalled.
const STILL: Duration = Duration::from_secs(15);
/// The number of ports that are tried, including the configured one.
const PORTS_TRIED: u16 = 100;

/// What the server reports about.
pub(crate) struct Health {
    pub(crate) worker: Arc<Worker>,
    pub(crate) obstacle: Obstacle,
    pub(crate) consumers: Vec<(QueueName, ConsumerHealth)>,
    pub(crate) metrics: Recorder,
}

/// Binds the configured port, or the next free one if another process has it; returns `None` if the port is off.
///
/// # Errors
/// If the port may not be bound, or none of the ports tried is free.
pub(crate) async fn bind(port: MetricsPort) -> std::io::Result<Option<TcpListener>> {
    match port {
        MetricsPort::Off => Ok(None),
        MetricsPort::FirstFreeFrom(first) => first_free(first).await.map(Some),
        MetricsPort::Asked(asked) => {
            let listener = first_free(asked).await?;
            let bound = listener.local_addr()?.port();
            if bound != asked {
                // Workers that share an environment file work as well as others; only their monitoring has to know the port.
                tracing::warn!(
                    asked,
                    port = bound,
                    "METRICS_PORT is taken by another process: metrics and health of this worker are served on the next free port; give \
                     each worker of this machine a METRICS_PORT of its own, or set it to 0"
                );
            }
            Ok(Some(listener))
        }
    }
}

/// Binds the first free port from this one on.
async fn first_free(first: u16) -> std::io::Result<TcpListener> {
    let mut taken = None;
    for port in first..=first.saturating_add(PORTS_TRIED - 1) {
        match TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await {
            Ok(listener) => return Ok(listener),
            // Any other error would occur with the next ports too.
            Err(error) if error.kind() == ErrorKind::AddrInUse => taken = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(taken.unwrap_or_else(|| std::io::Error::other("no port to try")))
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

/// Ready while the database answers and is fit for this program. Other obstacles are reported but do not
/// change the status: the work waits, and restarting this process would not help.
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
    if let Ok(Covered::Partly(_) | Covered::Not(_)) = health.worker.vault.covered().await {
        report.push_str("keys: a wrapping key of data keys is not configured here\n");
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
    metrics::look_up_backlog(&health.worker.db, health.worker.clock.now()).await;
    health.metrics.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_that_is_taken_leads_to_the_next_free_one() {
        let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
        let asked = taken.local_addr().unwrap().port();
        let bound = bind(MetricsPort::Asked(asked)).await.unwrap().unwrap();
        assert_ne!(bound.local_addr().unwrap().port(), asked);
        assert!(bind(MetricsPort::Off).await.unwrap().is_none());
    }
}
