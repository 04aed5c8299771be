//! One attempt at a creating call, as its row records it.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::sql_types::Text;
use diesel::{Queryable, Selectable};
use strum::{EnumDiscriminants, EnumString, IntoStaticStr, VariantArray};

use crate::crypto::Sealed;
use crate::db::DbError;
use crate::db::schema::stripe_calls;
use crate::db::types::column_of;
use crate::ids::stripe::CallKey;
use crate::stripe::errors::{StripeError, UNREADABLE_ANSWER};

/// The table of the attempts.
pub(super) const TABLE: &str = "stripe_calls";

/// How old a key may be when it is sent again. Stripe keeps keys for at least 24 hours; the hour covers clocks and the call.
const KEY_LIFETIME: TimeDelta = TimeDelta::hours(23);

/// The number of tries after which a stored failure counts as the only answer that the key will ever return.
const REPLAYS: i32 = 3;

/// The [`StripeError::code`] recorded for a 500, which Stripe stores under the key.
const STORED_FAILURE: &str = "http_500";

column_of!(CallOutcome, Text);

impl CallOutcome {
    /// The outcomes that a later try may still change.
    pub(super) const OPEN: [Self; 2] = [Self::Prepared, Self::Unknown];

    /// The outcomes with which Stripe may have the object.
    pub const MAY_EXIST: [Self; 2] = [Self::Unknown, Self::Succeeded];
}

/// The state of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, EnumDiscriminants)]
#[strum_discriminants(
    name(CallOutcome),
    vis(pub),
    doc = "The outcome of a call, as the table has it.",
    derive(AsExpression, FromSqlRow, EnumString, IntoStaticStr, VariantArray),
    diesel(sql_type = Text),
    strum(serialize_all = "snake_case")
)]
pub(super) enum AttemptState {
    /// It was never sent.
    Prepared,
    /// It was sent, without a trustworthy answer.
    Unknown,
    /// It made an object.
    Succeeded {
        /// The object's id at Stripe.
        object_id: String,
    },
    /// It made nothing and never will.
    Refused,
}

/// One row, converted and checked.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) key: CallKey,
    pub(super) state: AttemptState,
    /// The number of tries that may have had an effect.
    pub(super) tries: i32,
    pub(super) first_tried_at: Option<DateTime<Utc>>,
    pub(super) error_code: Option<String>,
    /// The last part of the key, counted from 1.
    pub(super) number: i32,
    /// The parameters that it sends; deleted once the outcome is certain.
    pub(super) params: Option<Sealed>,
    /// The earliest moment at which it can have been sent, also by programs whose records were lost when a backup was restored.
    pub(super) possible_since: DateTime<Utc>,
}

/// The columns that are read.
#[derive(Queryable, Selectable)]
#[diesel(table_name = stripe_calls, check_for_backend(diesel::pg::Pg))]
pub(super) struct Row {
    idempotency_key: String,
    attempt: i32,
    encrypted_params: Option<String>,
    outcome: CallOutcome,
    tries: i32,
    first_tried_at: Option<DateTime<Utc>>,
    stripe_object_id: Option<String>,
    error_code: Option<String>,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for Attempt {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        let wrong = |column| DbError::inconsistent(TABLE, column, &row.idempotency_key);
        let state = match row.outcome {
            CallOutcome::Prepared => AttemptState::Prepared,
            CallOutcome::Unknown => AttemptState::Unknown,
            CallOutcome::Refused => AttemptState::Refused,
            CallOutcome::Succeeded => AttemptState::Succeeded {
                object_id: row.stripe_object_id.ok_or_else(|| wrong("stripe_object_id"))?,
            },
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
            state,
            tries: row.tries,
            first_tried_at: row.first_tried_at,
            error_code: row.error_code,
            number: row.attempt,
            params,
            possible_since: row.created_at,
        })
    }
}

/// How the result of a look-up at Stripe is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LookUp {
    /// The key can no longer show the outcome: what the look-up finds is the outcome, even if that is nothing.
    Instead,
    /// By our record the attempt was first sent lately, but it may have been sent under a lost record before, so long ago that Stripe has
    /// forgotten the key: it is sent again only if the look-up finds nothing.
    Before,
}

/// Returns whether a look-up is needed before an attempt is sent, and since when it may have been sent. Stripe forgets keys
/// (<https://docs.stripe.com/api/idempotent_requests>); a call that `is_only_ours` may have been sent under records that a restored backup lacks.
pub(super) fn look_up(
    attempt: &Attempt,
    now: DateTime<Utc>,
    is_only_ours: bool,
) -> Option<(LookUp, DateTime<Utc>)> {
    let is_old = |since: DateTime<Utc>| now.signed_duration_since(since) >= KEY_LIFETIME;
    let possible_since = Some(attempt.possible_since).filter(|_| is_only_ours);
    let was_possible_long_ago = possible_since.is_some_and(is_old);
    let Some(first_tried_at) = attempt.first_tried_at else {
        return possible_since
            .filter(|_| was_possible_long_ago)
            .map(|since| (LookUp::Instead, since));
    };
    let is_stored = attempt.tries >= REPLAYS
        && matches!(
            attempt.error_code.as_deref(),
            Some(STORED_FAILURE | UNREADABLE_ANSWER)
        );
    let since = possible_since.map_or(first_tried_at, |since| since.min(first_tried_at));
    if is_stored || is_old(first_tried_at) {
        Some((LookUp::Instead, since))
    } else {
        was_possible_long_ago.then_some((LookUp::Before, since))
    }
}

/// Returns the code that the row records for a failure.
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
        key: CallKey,
        first_tried_at: Option<DateTime<Utc>>,
        tries: i32,
        code: Option<&str>,
    ) -> Self {
        let error_code = code.map(ToOwned::to_owned);
        Self {
            key,
            state: AttemptState::Unknown,
            tries,
            first_tried_at,
            error_code,
            number: 1,
            params: None,
            possible_since: DateTime::UNIX_EPOCH,
        }
    }
}
