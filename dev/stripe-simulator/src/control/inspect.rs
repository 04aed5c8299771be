//! Control calls that only read: counts, effects, delivery attempts.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State as Shared};
use serde::Deserialize;
use serde_json::Value;

use super::{Control, Refusal};
use crate::effects::Effect;
use crate::faults::glob;
use crate::shared::Core;

pub(super) async fn state(Shared(core): Shared<Arc<Core>>) -> Json<Value> {
    Json(core.lock().summary())
}

/// The filter of the effects; all of them by default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Only those with a larger `seq`.
    #[serde(default)]
    after: u64,
    /// The operation, with `*` for any text.
    operation: Option<String>,
    transaction_id: Option<String>,
    object: Option<String>,
}

impl Wanted {
    fn fits(&self, effect: &Effect) -> bool {
        effect.seq > self.after
            && self
                .operation
                .as_deref()
                .is_none_or(|pattern| glob(pattern, &effect.operation))
            && self
                .transaction_id
                .as_deref()
                .is_none_or(|id| effect.transaction_id.as_deref() == Some(id))
            && self.object.as_deref().is_none_or(|id| effect.object == id)
    }
}

pub(super) async fn effects(Shared(core): Shared<Arc<Core>>, Query(wanted): Query<Wanted>) -> Control {
    let state = core.lock();
    let effects: Vec<&Effect> = state
        .effects
        .entries()
        .iter()
        .filter(|effect| wanted.fits(effect))
        .collect();
    serde_json::to_value(effects).map(Json).map_err(Refusal::bad)
}

pub(super) async fn deliveries(Shared(core): Shared<Arc<Core>>) -> Control {
    serde_json::to_value(&core.lock().attempts)
        .map(Json)
        .map_err(Refusal::bad)
}
