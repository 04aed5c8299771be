//! Who asks.

use strum::{EnumString, IntoStaticStr};

use crate::ids::UserId;

/// What a token lets its holder do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// Their own wallets.
    User,
    /// Reads other people's.
    Support,
    /// Also watches and repairs.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// Its name in the token.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether it may read what belongs to others.
    #[must_use]
    pub fn reads_others(self) -> bool {
        self >= Self::Support
    }

    /// Whether it may refund and cancel what belongs to others.
    #[must_use]
    pub fn repairs(self) -> bool {
        self >= Self::Operator
    }

    /// Whether it may create wallets for others.
    #[must_use]
    pub fn creates_for_others(self) -> bool {
        self >= Self::Operator
    }
}

/// The person behind a request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The `sub` of the token.
    pub user_id: UserId,
    /// The `role` of the token.
    pub role: Role,
    /// The id under which the request is logged.
    pub request_id: Option<String>,
}
