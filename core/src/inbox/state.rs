//! The words of the table `stripe_events`.

use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::sql_types::Text;
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::db::types::column_of;

/// How far a stored event is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, AsExpression, FromSqlRow, EnumString, IntoStaticStr, VariantArray,
)]
#[diesel(sql_type = Text)]
#[strum(serialize_all = "snake_case")]
pub enum EventState {
    /// Stored; its job is still to look at it.
    Received,
    /// Understood; what it asks for is settled.
    Processed,
    /// About nothing of ours.
    Ignored,
    /// A person has to look at it.
    Parked,
}

column_of!(EventState, Text);

/// How an event came, as the row keeps it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, AsExpression, FromSqlRow, EnumString, IntoStaticStr, VariantArray,
)]
#[diesel(sql_type = Text)]
#[strum(serialize_all = "snake_case")]
pub enum EventSource {
    /// Delivered to the webhook.
    Webhook,
    /// Read from Stripe's list of events.
    List,
}

column_of!(EventSource, Text);
