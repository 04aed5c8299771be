//! Whether this process can serve. One check answers all who ask at once, so that asking often costs no further connections.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use wallet_core::alarms::{self, AlarmKind};
use wallet_core::error_chain::chain;

use crate::state::App;

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the result of a check is valid.
const FRESH: Duration = Duration::from_millis(500);

/// The result of a check.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

/// The latest check.
#[derive(Debug, Default)]
pub(super) struct Readiness(Mutex<Option<(Instant, Found)>>);

impl Readiness {
    /// Returns the result of the latest check, or of a new one; those who ask in the meantime wait for the same one.
    pub(super) async fn of(&self, app: &App) -> Found {
        let mut latest = self.0.lock().await;
        if let Some((at, found)) = latest.as_ref()
            && at.elapsed() < FRESH
            && !app.is_draining()
        {
            return found.clone();
        }
        let found = check(app).await;
        *latest = Some((Instant::now(), found.clone()));
        found
    }
}

async fn check(app: &App) -> Found {
    let (database, redis) = tokio::join!(database_answers(app), app.transport.check_writable());
    let draining = app.is_draining();
    let missing = app.schema.missing().err().map(|why| why.to_string());
    let serves = database && missing.is_none();
    let told = |answers| if answers { "ok" } else { "unavailable" };
    // The workers, which call Stripe all the time, have found this out.
    let key_refused = database && key_is_refused(app).await;
    let mut body = json!({
        "status": if draining { "draining" } else if serves { "ready" } else { "unavailable" },
        "database": missing.unwrap_or_else(|| told(database).to_owned()),
        "redis": told(redis.is_ok()),
        "keys": if app.schema.lacks_keys() { "a wrapping key of data keys is not configured here" } else { "ok" },
        "stripe": if key_refused { "Stripe refuses our key" } else { "ok" },
    });
    if let (Some(answers), Some(fields)) = (app.reads.replica_answers(), body.as_object_mut()) {
        fields.insert("replica".to_owned(), told(answers).into());
    }
    let status = if serves && !draining {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Found { status, body }
}

async fn database_answers(app: &App) -> bool {
    match timeout(PATIENCE, app.db.ping()).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(error = chain(&error), "not ready: the database does not answer");
            false
        }
        Err(_) => false,
    }
}

async fn key_is_refused(app: &App) -> bool {
    let question = alarms::is_open(&app.db, AlarmKind::StripeKeyRefused);
    matches!(timeout(PATIENCE, question).await, Ok(Ok(true)))
}
