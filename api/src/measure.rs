//! Measures requests without people and databases, for the property test, the fuzz target and the benchmark of documents.

use crate::graphql::limits::{self, MAX_ANSWER, Rules};
use crate::routes::parsed;

/// The maximum number of wallets in a list, which is the default of `WALLETS_PER_PERSON`.
const MOST_WALLETS: usize = 100;

/// The outcome of measuring a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measured {
    /// The request would be refused before anything is read.
    Refused,
    /// The request would be run.
    Taken {
        /// The estimated bytes of its answer.
        bytes: usize,
        /// Its cost in operations of the rate limit.
        cost: u32,
    },
}

impl Measured {
    /// The maximum bytes of any answer; one that grows beyond it is given up while it is built.
    pub const MOST_BYTES: usize = MAX_ANSWER;
}

/// Does with the body of a request what happens before the engine: reads, bounds, validates, collects and weighs it.
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
