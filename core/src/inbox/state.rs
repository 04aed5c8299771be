//! The enumerated columns of the table `stripe_events`.

use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::sql_types::Text;
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::db::types::column_of;

/// The state of a stored event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[derive(AsExpression, FromSqlRow, EnumString, IntoStaticStr, VariantArray)]
#[diesel(sql_type = Text)]
#[strum(serialize_all = "snake_case")]
pub enum EventState {
    /// Stored; its job has yet to process it.
    Received,
    /// Understood; what it asks for is settled.
    Processed,
    /// About an object that we did not create.
    Ignored,
    /// An operator must decide about it.
    Parked,
}

column_of!(EventState, Text);

/// How an event arrived, as the row stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[derive(AsExpression, FromSqlRow, EnumString, IntoStaticStr, VariantArray)]
#[diesel(sql_type = Text)]
#[strum(serialize_all = "snake_case")]
pub enum EventSource {
    /// Delivered to the webhook.
    Webhook,
    /// Read from Stripe's list of events.
    List,
}

column_of!(EventSource, Text);
