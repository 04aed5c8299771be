//! `expand[]`: replaces ids in a response by the objects that they name.

use serde_json::Value;

use crate::errors::ApiError;
use crate::objects::Owner;
use crate::state::State;

/// The maximum depth of a path at Stripe.
const DEEPEST: usize = 4;

/// Fields that an object omits while they have no value, but that may be named in `expand[]` nevertheless.
const ABSENT: [&str; 1] = ["failure_balance_transaction"];

/// Expands every path of `paths` in `answer`.
///
/// # Errors
/// When a path is too deep or names nothing that can be expanded.
pub(crate) fn expand(
    state: &State,
    owner: &Owner,
    paths: &[&str],
    answer: &mut Value,
) -> Result<(), ApiError> {
    for path in paths {
        let steps: Vec<&str> = path.split('.').collect();
        if steps.len() > DEEPEST {
            let message =
                format!("You cannot expand more than {DEEPEST} levels of a property. Property: {path}");
            return Err(ApiError::invalid_param("expand", message));
        }
        walk(state, owner, path, &steps, answer)?;
    }
    Ok(())
}

fn walk(state: &State, owner: &Owner, path: &str, steps: &[&str], at: &mut Value) -> Result<(), ApiError> {
    if let Value::Array(items) = at {
        return items
            .iter_mut()
            .try_for_each(|item| walk(state, owner, path, steps, item));
    }
    let Some((step, rest)) = steps.split_first() else {
        return Ok(());
    };
    if ABSENT.contains(step) && at.is_object() && at.get(*step).is_none() {
        return Ok(());
    }
    let Some(field) = at.get_mut(*step) else {
        return Err(ApiError::invalid_param(
            "expand",
            format!("This property cannot be expanded ({path})."),
        ));
    };
    if let Value::String(id) = field {
        match state.render_any(owner, id) {
            Some(object) => *field = object,
            None if rest.is_empty() && !id.contains('_') => {
                return Err(ApiError::invalid_param(
                    "expand",
                    format!("This property cannot be expanded ({path})."),
                ));
            }
            None => return Ok(()),
        }
    }
    if field.is_null() {
        return Ok(());
    }
    walk(state, owner, path, rest, field)
}
