//! From PostgreSQL to Redis: handing due jobs over to the workers' queues.
//!
//! Two ways lead there. A process that has just committed a job hands its id over at once ([`HandOver`]); everything else (retries,
//! follow-ups, what did not fit into the window, what Redis lost) is found in the table ([`Dispatcher`]). Redis holds a bounded
//! window of each queue: apalis-redis cannot fetch at all once 8,000 tasks are due, so the rest waits in PostgreSQL.

mod hand_over;
mod table;

pub use hand_over::{HandOver, Queued};
pub use table::Dispatcher;

use crate::jobs::QueueName;

/// Above this many tasks waiting in Redis, an accepted job is left to the dispatcher.
const OPEN_BELOW: u64 = 1_500;

/// How many jobs of a queue are carried by one task when many wait. Transfers are executed in batches; the others one by one.
const fn group_size(queue: QueueName) -> usize {
    match queue {
        QueueName::Transfers => 50,
        QueueName::Deposits | QueueName::Withdrawals | QueueName::Webhooks | QueueName::Maintenance => 1,
    }
}

/// The dispatcher tops a queue up to about this many tasks.
const fn window(queue: QueueName) -> u64 {
    match queue {
        QueueName::Transfers => 40,
        QueueName::Deposits | QueueName::Withdrawals | QueueName::Webhooks | QueueName::Maintenance => 1_000,
    }
}
