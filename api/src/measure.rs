//! Measuring requests without people and databases, for the property test, the fuzz target and the benchmark of documents.

use crate::graphql::limits::{self, MAX_ANSWER, Rules};
use crate::routes::parsed;

/// The most wallets that a list shows as `WALLETS_PER_PERSON` is by default.
const MOST_WALLETS: usize = 100;

/// What became of a request that was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measured {
    /// It would be refused before anything is read.
    Refused,
    /// It would be run.
    Taken {
        /// How many bytes its answer may have by the estimate.
        bytes: usize,
        /// How many operations it is to the rate limit.
        cost: u32,
    },
}

impl Measured {
    /// The most that any answer may have; one that grows beyond it is given up while it is built.
    pub const MOST_BYTES: usize = MAX_ANSWER;
}

/// Does with the body of a request what happens before the engine sees it: reads, bounds, validates, collects and weighs it.
#[must_use]
pub fn measure(body: &[u8]) -> Measured {
    let Ok(mut request) = parsed(body) else {
        return Measured::Refused;
    };
    let rules = Rules {
        introspection: true,
        wallets: MOST_WALLETS,
    };
    match limits::check(&mut request, rules) {
        Ok(shape) => Measured::Taken {
            bytes: shape.weight().bytes,
            cost: shape.cost(),
        },
        Err(_) => Measured::Refused,
    }
}
