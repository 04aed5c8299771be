//! The person who makes a request.

use strum::{EnumString, IntoStaticStr};

use crate::ids::UserId;

/// The role in a token, which determines what its holder may do. Each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// Uses only their own wallets.
    User,
    /// Also reads what belongs to others.
    Support,
    /// Also monitors the system, and repairs what belongs to others.
    Operator,
    /// May do everything.
    Admin,
}

impl Role {
    /// The role's name in the token.
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
