//! Control calls about the simulator itself: clock, settings, the webhook target, outages, and a reset.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State as Shared;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Control, Input, Refusal, known_fields};
use crate::effects::EffectLog;
use crate::resources::later;
use crate::settings::{Settings, WebhookTarget};
use crate::shared::Core;

pub(super) async fn reset(Shared(core): Shared<Arc<Core>>) -> Control {
    let seed = core.seed;
    core.with(|state| {
        let effects = EffectLog::open(state.effects.path()).map_err(Refusal::bad)?;
        state.reset(effects, seed);
        Ok(Json(state.summary()))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Advance {
    advance_seconds: u64,
}

pub(super) async fn clock(Shared(core): Shared<Arc<Core>>) -> Json<Value> {
    let state = core.lock();
    Json(json!({
        "now": state.now().rfc3339(),
        "unix_ms": state.now().millis(),
        "ahead_ms": state.clock.offset_millis(),
    }))
}

pub(super) async fn advance(Shared(core): Shared<Arc<Core>>, Input(by): Input<Advance>) -> Json<Value> {
    core.with(|state| {
        state.clock.advance(by.advance_seconds.saturating_mul(1_000));
        let (now, ttl) = (state.now(), state.settings.idempotency_ttl_s);
        state.keys.forget_old(now, ttl);
        later::run_due(state);
    });
    clock(Shared(core)).await
}

pub(super) async fn settings(Shared(core): Shared<Arc<Core>>) -> Control {
    serde_json::to_value(&core.lock().settings)
        .map(Json)
        .map_err(Refusal::bad)
}

pub(super) async fn change_settings(
    Shared(core): Shared<Arc<Core>>,
    Input(changes): Input<Value>,
) -> Control {
    known_fields::<Settings>(&changes)?;
    core.with(|state| {
        let mut merged = serde_json::to_value(&state.settings).map_err(Refusal::bad)?;
        if let (Value::Object(merged), Value::Object(changes)) = (&mut merged, changes) {
            merged.extend(changes);
        }
        state.settings = serde_json::from_value(merged.clone()).map_err(Refusal::bad)?;
        Ok(Json(merged))
    })
}

pub(super) async fn webhook(Shared(core): Shared<Arc<Core>>) -> Control {
    serde_json::to_value(&core.lock().webhook)
        .map(Json)
        .map_err(Refusal::bad)
}

pub(super) async fn set_webhook(
    Shared(core): Shared<Arc<Core>>,
    Input(target): Input<WebhookTarget>,
) -> Control {
    if !target.url.starts_with("http://") {
        return Err(Refusal::bad("`url` must begin with http://"));
    }
    core.with(|state| state.webhook = Some(target));
    webhook(Shared(core)).await
}

pub(super) async fn clear_webhook(Shared(core): Shared<Arc<Core>>) -> Control {
    core.with(|state| state.webhook = None);
    webhook(Shared(core)).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutageOrder {
    ms: u64,
}

pub(super) async fn outage(Shared(core): Shared<Arc<Core>>, Input(order): Input<OutageOrder>) -> Json<Value> {
    let (outage, lasting) = (core.outage.clone(), Duration::from_millis(order.ms));
    // A little later, so that this response still gets through.
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        outage.begin(lasting);
    });
    Json(json!({ "refusing_for_ms": order.ms, "begins_in_ms": 20 }))
}
