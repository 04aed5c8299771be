//! The wish to undo a transaction.

use chrono::{DateTime, Utc};

/// That somebody asks to cancel a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CancelRequest {
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub by: Canceller,
}

/// Who wants a transaction undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canceller {
    /// The owner of its wallet.
    Owner,
    /// An operator, on somebody's behalf.
    Operator,
}

impl Canceller {
    /// Its name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Operator => "operator",
        }
    }

    /// Who it is by this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Owner, Self::Operator]
            .into_iter()
            .find(|canceller| canceller.as_str() == name)
    }
}
