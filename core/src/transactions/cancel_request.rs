//! The request to cancel a transaction.

use chrono::{DateTime, Utc};
use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::sql_types::Text;
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::db::types::column_of;

/// A request to cancel a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CancelRequest {
    /// When it was made.
    pub at: DateTime<Utc>,
    /// Who made it.
    pub by: Canceller,
}

/// The person who requests to cancel a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[derive(EnumString, IntoStaticStr, AsExpression, FromSqlRow, VariantArray)]
#[diesel(sql_type = Text)]
#[strum(serialize_all = "snake_case")]
pub enum Canceller {
    /// The owner of its wallet.
    Owner,
    /// An operator, on behalf of somebody else.
    Operator,
}

column_of!(Canceller, Text);
