//! A person with a token.

use std::time::Duration;

use uuid::Uuid;
use wallet_dev::token::{self, Role};

use crate::system::JWT_SECRET;

/// Longer than any test moves its clock.
const VALID_FOR: Duration = Duration::from_secs(400 * 86_400);

/// A person who sends requests.
#[derive(Debug, Clone)]
pub struct User {
    /// The `sub` of the token.
    pub id: Uuid,
    /// The token.
    pub token: String,
}

impl User {
    /// A new person.
    #[must_use]
    pub fn new() -> Self {
        Self::with_role(Role::User)
    }

    /// A new person with this role.
    ///
    /// # Panics
    /// Never: the secret is long enough.
    #[must_use]
    pub fn with_role(role: Role) -> Self {
        let id = Uuid::new_v4();
        let token = token::issue(JWT_SECRET, id, role, VALID_FOR).unwrap();
        Self { id, token }
    }

    /// The same person with a token of this session.
    ///
    /// # Panics
    /// Never: the secret is long enough.
    #[must_use]
    pub fn in_session(&self, session: &str) -> Self {
        let token = token::issue_in_session(JWT_SECRET, self.id, Role::User, VALID_FOR, Some(session));
        Self {
            id: self.id,
            token: token.unwrap(),
        }
    }
}

impl Default for User {
    fn default() -> Self {
        Self::new()
    }
}
