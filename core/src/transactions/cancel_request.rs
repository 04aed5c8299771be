//! The wish to undo a transaction.

use chrono::{DateTime, Utc};
use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::sql_types::Text;
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::db::types::column_of;

/// That somebody asks to cancel a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CancelRequest {
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub by: Canceller,
}

/// Who wants a transaction undone.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, AsExpression, FromSqlRow, VariantArray,
)]
#[diesel(sql_type = Text)]
#[strum(serialize_all = "snake_case")]
pub enum Canceller {
    /// The owner of its wallet.
    Owner,
    /// An operator, on somebody's behalf.
    Operator,
}

column_of!(Canceller, Text);
