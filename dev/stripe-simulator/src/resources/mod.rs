//! The simulator's resources, one file each: its routes, its handlers and its state transitions.
//!
//! A handler takes the whole state and one decoded request and returns Stripe's JSON. Transitions that also happen by
//! themselves (timers) or at a test's request (control) are functions of the state alone.

pub(crate) mod accounts;
pub(crate) mod balance;
pub(crate) mod charges;
pub(crate) mod customers;
pub(crate) mod disputes;
pub(crate) mod events;
pub(crate) mod external_accounts;
pub(crate) mod later;
pub(crate) mod payment_intents;
pub(crate) mod payment_methods;
pub(crate) mod payouts;
pub(crate) mod refunds;
pub(crate) mod reversals;
pub(crate) mod transfers;

use serde_json::Value;

use crate::auth::KeyKind;
use crate::errors::ApiError;
use crate::form::Params;
use crate::list::Page;
use crate::objects::Owner;
use crate::state::{Origin, State, Stored};

/// One decoded API request.
#[derive(Debug)]
pub(crate) struct Call {
    /// The account that the request acts on.
    pub(crate) owner: Owner,
    /// The kind of the caller's key.
    pub(crate) key: KeyKind,
    /// Query and body.
    pub(crate) params: Params,
    /// The path without the query.
    pub(crate) path: String,
    /// The parts of the path that match `{}` in the route's pattern.
    pub(crate) captures: Vec<String>,
    /// The request's id and key, for events and effects.
    pub(crate) origin: Origin,
}

impl Call {
    /// Returns the id in the path.
    pub(crate) fn id(&self) -> &str {
        self.captures.first().map_or("", String::as_str)
    }

    /// Returns the second id in the path.
    pub(crate) fn second_id(&self) -> &str {
        self.captures.get(1).map_or("", String::as_str)
    }
}

/// A handler's response, or Stripe's error.
pub(crate) type Answer = Result<Value, ApiError>;

/// A handler's response that is JSON text already, or Stripe's error.
pub(crate) type TextAnswer = Result<String, ApiError>;

/// A handler that returns a value, in which ids can be expanded.
pub(crate) type JsonHandler = fn(&mut State, &Call) -> Answer;

/// A handler that returns text.
pub(crate) type TextHandler = fn(&mut State, &Call) -> TextAnswer;

/// The handler of an endpoint.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Handler {
    Json(JsonHandler),
    Text(TextHandler),
}

/// One endpoint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    /// `GET`, `POST` or `DELETE`.
    pub(crate) method: &'static str,
    /// The path, with `{}` for ids.
    pub(crate) pattern: &'static str,
    /// The name for fault rules, such as `transfers.create`.
    pub(crate) operation: &'static str,
    /// Whether a publishable key may call it.
    pub(crate) publishable: bool,
    /// The handler.
    pub(crate) handler: Handler,
}

impl Route {
    const fn new(
        method: &'static str,
        pattern: &'static str,
        operation: &'static str,
        handler: Handler,
    ) -> Self {
        Self {
            method,
            pattern,
            operation,
            publishable: false,
            handler,
        }
    }

    const fn get(pattern: &'static str, operation: &'static str, handler: JsonHandler) -> Self {
        Self::new("GET", pattern, operation, Handler::Json(handler))
    }

    const fn text(pattern: &'static str, operation: &'static str, handler: TextHandler) -> Self {
        Self::new("GET", pattern, operation, Handler::Text(handler))
    }

    const fn post(pattern: &'static str, operation: &'static str, handler: JsonHandler) -> Self {
        Self::new("POST", pattern, operation, Handler::Json(handler))
    }

    const fn delete(pattern: &'static str, operation: &'static str, handler: JsonHandler) -> Self {
        Self::new("DELETE", pattern, operation, Handler::Json(handler))
    }

    const fn publishable(self) -> Self {
        Self {
            publishable: true,
            ..self
        }
    }

    /// Returns the ids in `path`, if it matches this route's pattern.
    pub(crate) fn captures(&self, path: &str) -> Option<Vec<String>> {
        let mut captures = Vec::new();
        let mut segments = path.split('/');
        for wanted in self.pattern.split('/') {
            let segment = segments.next()?;
            if wanted == "{}" {
                captures.push(segment.to_owned());
            } else if wanted != segment {
                return None;
            }
        }
        segments.next().is_none().then_some(captures)
    }
}

/// Returns every endpoint.
pub(crate) fn routes() -> impl Iterator<Item = &'static Route> {
    [
        payment_intents::ROUTES,
        transfers::ROUTES,
        reversals::ROUTES,
        payouts::ROUTES,
        accounts::ROUTES,
        external_accounts::ROUTES,
        customers::ROUTES,
        payment_methods::ROUTES,
        charges::ROUTES,
        refunds::ROUTES,
        balance::ROUTES,
        disputes::ROUTES,
        events::ROUTES,
    ]
    .into_iter()
    .flatten()
}

/// Returns the object of type `T` that the path names.
fn retrieve<T: Stored>(state: &mut State, call: &Call) -> Answer {
    call.params.allow_only(&[])?;
    Ok(state.find::<T>(&call.owner, call.id())?.render(state))
}

/// Refuses parameters of a list that are neither for paging nor in `filters`.
fn allow_list(call: &Call, filters: &[&str]) -> Result<(), ApiError> {
    let mut known = Page::PARAMS.to_vec();
    known.extend_from_slice(filters);
    call.params.allow_only(&known)
}
