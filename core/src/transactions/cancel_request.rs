//! The wish to undo a transaction.

use chrono::{DateTime, Utc};
use strum::{EnumString, IntoStaticStr};

/// That somebody asks to cancel a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CancelRequest {
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub by: Canceller,
}

/// Who wants a transaction undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Canceller {
    /// The owner of its wallet.
    Owner,
    /// An operator, on somebody's behalf.
    Operator,
}

impl Canceller {
    /// Its name in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
