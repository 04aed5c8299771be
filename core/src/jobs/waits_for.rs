//! What a job waits for.

use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::sql_types::Text;
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use crate::db::types::column_of;

/// What a job waits for that did not come to its end, in the column and in lines of the timeline.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    AsExpression,
    FromSqlRow,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[diesel(sql_type = Text)]
#[strum(serialize_all = "snake_case")]
pub enum WaitsFor {
    /// A person: it is parked.
    Person,
    /// Another job, or its own next run.
    Job,
    /// Something that has not happened yet at Stripe.
    Event,
    /// Money at Stripe.
    Funds,
    /// A wrapping key that is not configured, or personal details that cannot be opened.
    Keys,
    /// The database.
    Database,
    /// A wallet that somebody else has locked, or the lock nodes.
    Lock,
    /// A wallet's lock that does not go away.
    LockOverdue,
    /// Stripe: the lane of the job's calls is paused.
    ProviderAway,
    /// Stripe: the last call had no answer that decides anything.
    Provider,
    /// Stripe forbids what the job asks for, which may be changed there.
    Permission,
    /// The switch that keeps money from leaving.
    MoneyOut,
    /// A program of a newer version, which knows its kind.
    NewerVersion,
}

column_of!(WaitsFor, Text);

impl WaitsFor {
    /// What passes as soon as Stripe answers again, and by nothing else.
    pub const STRIPE: [Self; 2] = [Self::ProviderAway, Self::Provider];
}
