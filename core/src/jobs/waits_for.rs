//! What a job waits for.

use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::sql_types::Text;
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use crate::db::types::column_of;

/// What an unfinished job waits for, as written to the column and to the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[derive(AsExpression, FromSqlRow, Display, EnumString, IntoStaticStr, VariantArray)]
#[diesel(sql_type = Text)]
#[strum(serialize_all = "snake_case")]
pub enum WaitsFor {
    /// A person: the job is parked.
    Person,
    /// Another job, or its own next run.
    Job,
    /// Something that has not happened at Stripe yet.
    Event,
    /// Money at Stripe.
    Funds,
    /// A wrapping key that is not configured, or personal details that cannot be opened.
    Keys,
    /// The database.
    Database,
    /// A wallet that is locked by another holder, or the lock nodes.
    Lock,
    /// A wallet's lock that does not go away.
    LockOverdue,
    /// Stripe: the lane of the job's calls is paused.
    ProviderAway,
    /// Stripe: the last call had no conclusive answer.
    Provider,
    /// Stripe forbids what the job requests; the permission may be changed there.
    Permission,
    /// The switch that keeps money from leaving.
    MoneyOut,
    /// A newer version of the program, which knows the job's kind.
    NewerVersion,
}

column_of!(WaitsFor, Text);

impl WaitsFor {
    /// The waits that end as soon as Stripe answers again, and not before.
    pub const STRIPE: [Self; 2] = [Self::ProviderAway, Self::Provider];
}
