//! One attempt at a creating call, as its row tells it.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{Queryable, Selectable};

use super::error::LookUp;
use crate::crypto::Sealed;
use crate::db::DbError;
use crate::db::schema::stripe_calls;
use crate::stripe::errors::{StripeError, UNREADABLE_ANSWER};
use crate::stripe::ids::IdempotencyKey;

/// The table of the rows.
pub(super) const TABLE: &str = "stripe_calls";

/// How old a key may be when it is sent again. Stripe keeps keys for at least 24 hours; the hour covers clocks and the call.
const KEY_LIFETIME: TimeDelta = TimeDelta::hours(23);

/// How often the same stored failure is asked for before it counts as all the key will ever say.
const REPLAYS: i32 = 3;

/// [`StripeError::code`] kept for a 500, which Stripe stores under the key.
const STORED_FAILURE: &str = "http_500";

/// How an attempt stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Never sent.
    Prepared,
    /// Sent, without a trustworthy answer.
    Unknown,
    /// Made an object.
    Succeeded {
        /// Its id at Stripe.
        object_id: String,
    },
    /// Made nothing and never will.
    Refused,
}

/// One row, understood.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) key: IdempotencyKey,
    pub(super) outcome: Outcome,
    /// Tries that may have had an effect.
    pub(super) tries: i32,
    pub(super) first_tried_at: Option<DateTime<Utc>>,
    pub(super) error_code: Option<String>,
    /// The last part of its key, counted from 1.
    pub(super) number: i32,
    /// What it sends; dropped once the outcome is certain.
    pub(super) params: Option<Sealed>,
    /// The earliest moment at which it can have been sent, also by programs whose books were lost when a backup was restored.
    pub(super) possible_since: DateTime<Utc>,
}

/// The columns that are read.
#[derive(Queryable, Selectable)]
#[diesel(table_name = stripe_calls, check_for_backend(diesel::pg::Pg))]
pub(super) struct Row {
    idempotency_key: String,
    attempt: i32,
    encrypted_params: Option<String>,
    outcome: String,
    tries: i32,
    first_tried_at: Option<DateTime<Utc>>,
    stripe_object_id: Option<String>,
    error_code: Option<String>,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for Attempt {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        let wrong = |column| DbError::Inconsistent {
            table: TABLE,
            column,
            row: row.idempotency_key.clone(),
        };
        let outcome = match (row.outcome.as_str(), row.stripe_object_id) {
            ("prepared", _) => Outcome::Prepared,
            ("unknown", _) => Outcome::Unknown,
            ("refused", _) => Outcome::Refused,
            ("succeeded", Some(object_id)) => Outcome::Succeeded { object_id },
            ("succeeded", None) => return Err(wrong("stripe_object_id")),
            _ => return Err(wrong("outcome")),
        };
        let params = row
            .encrypted_params
            .map(Sealed::parse)
            .transpose()
            .map_err(|_| wrong("encrypted_params"))?;
        Ok(Self {
            key: row
                .idempotency_key
                .parse()
                .map_err(|_| wrong("idempotency_key"))?,
            outcome,
            tries: row.tries,
            first_tried_at: row.first_tried_at,
            error_code: row.error_code,
            number: row.attempt,
            params,
            possible_since: row.created_at,
        })
    }
}

/// The look-up that an attempt at moving money which only we can have made needs before it is sent for the first time by these books: after a restored backup it may have been
/// sent, and Stripe forgets keys (<https://docs.stripe.com/api/idempotent_requests>).
pub(super) fn unrecorded(attempt: &Attempt, now: DateTime<Utc>) -> Option<LookUp> {
    let is_untried = attempt.first_tried_at.is_none();
    let too_old = now.signed_duration_since(attempt.possible_since) >= KEY_LIFETIME;
    (is_untried && too_old).then(|| LookUp {
        key: attempt.key.clone(),
        first_tried_at: attempt.possible_since,
    })
}

/// The look-up that an attempt needs before anything may be sent. What `is_only_ours` may have been made by lost books before the first try of
/// these, under the same key.
pub(super) fn exhausted(attempt: &Attempt, now: DateTime<Utc>, is_only_ours: bool) -> Option<LookUp> {
    let first_tried_at = attempt.first_tried_at?;
    let too_old = now.signed_duration_since(first_tried_at) >= KEY_LIFETIME;
    let stored = matches!(
        attempt.error_code.as_deref(),
        Some(STORED_FAILURE | UNREADABLE_ANSWER)
    );
    let since = if is_only_ours {
        first_tried_at.min(attempt.possible_since)
    } else {
        first_tried_at
    };
    (too_old || (stored && attempt.tries >= REPLAYS)).then(|| LookUp {
        key: attempt.key.clone(),
        first_tried_at: since,
    })
}

/// What the row remembers of a failure.
pub(super) fn code_of(error: &StripeError) -> String {
    match (error.status, &error.code) {
        (Some(500), _) => STORED_FAILURE.to_owned(),
        (_, Some(code)) => code.clone(),
        (Some(status), None) => format!("http_{status}"),
        (None, None) => error.class.to_string(),
    }
}

#[cfg(test)]
impl Attempt {
    pub(super) fn sample(
        key: IdempotencyKey,
        first_tried_at: Option<DateTime<Utc>>,
        tries: i32,
        code: Option<&str>,
    ) -> Self {
        let error_code = code.map(ToOwned::to_owned);
        Self {
            key,
            outcome: Outcome::Unknown,
            tries,
            first_tried_at,
            error_code,
            number: 1,
            params: None,
            possible_since: DateTime::UNIX_EPOCH,
        }
    }
}
