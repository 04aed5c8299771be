//! Control calls that order faults, list them with their counters, and remove them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Shared};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Control, Input, Refusal, known_fields};
use crate::faults::{ApiFault, Rule, WebhookFault};
use crate::shared::Core;

fn listed<F: Serialize>(rules: &[Rule<F>]) -> Control {
    serde_json::to_value(rules).map(Json).map_err(Refusal::bad)
}

pub(super) async fn list(Shared(core): Shared<Arc<Core>>) -> Control {
    listed(core.lock().faults.all())
}

pub(super) async fn add(Shared(core): Shared<Arc<Core>>, Input(fault): Input<Value>) -> Control {
    known_fields::<ApiFault>(&fault)?;
    let fault = serde_json::from_value::<ApiFault>(fault).map_err(Refusal::bad)?;
    Ok(Json(json!({ "id": core.lock().faults.add(fault) })))
}

pub(super) async fn clear(Shared(core): Shared<Arc<Core>>) -> Control {
    core.lock().faults.clear();
    Ok(Json(json!([])))
}

pub(super) async fn remove(Shared(core): Shared<Arc<Core>>, Path(id): Path<u64>) -> Control {
    removed(core.lock().faults.remove(id), id)
}

pub(super) async fn list_webhook(Shared(core): Shared<Arc<Core>>) -> Control {
    listed(core.lock().webhook_faults.all())
}

pub(super) async fn add_webhook(Shared(core): Shared<Arc<Core>>, Input(fault): Input<Value>) -> Control {
    known_fields::<WebhookFault>(&fault)?;
    let fault = serde_json::from_value::<WebhookFault>(fault).map_err(Refusal::bad)?;
    Ok(Json(json!({ "id": core.lock().webhook_faults.add(fault) })))
}

pub(super) async fn clear_webhook(Shared(core): Shared<Arc<Core>>) -> Control {
    core.lock().webhook_faults.clear();
    Ok(Json(json!([])))
}

pub(super) async fn remove_webhook(Shared(core): Shared<Arc<Core>>, Path(id): Path<u64>) -> Control {
    removed(core.lock().webhook_faults.remove(id), id)
}

fn removed(was_there: bool, id: u64) -> Control {
    if was_there {
        Ok(Json(json!({ "id": id, "removed": true })))
    } else {
        Err(Refusal::missing("fault", &id.to_string()))
    }
}
