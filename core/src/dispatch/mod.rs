//! From PostgreSQL to Redis: dispatching due jobs to the workers' queues.
//!
//! A job gets there in one of two ways. A process that has just committed a job dispatches its id at once ([`Submitter`]); everything
//! else (retries, follow-ups, what did not fit into the window, what Redis lost) is found in the table ([`Dispatcher`]). Redis holds a
//! bounded window of each queue: apalis-redis cannot fetch at all once 8,000 tasks are due, so the rest waits in PostgreSQL.

mod submit;
mod table;

pub use submit::{Queued, Submitter};
pub use table::Dispatcher;

use crate::jobs::QueueName;

/// With this many or more tasks waiting in Redis, a newly accepted job is left to the dispatcher.
const OPEN_BELOW: u64 = 1_500;

/// The number of jobs in one task when that many wait. Transfers are executed in batches, the other jobs one by one.
const fn group_size(queue: QueueName) -> usize {
    match queue {
        QueueName::Transfers => 50,
        QueueName::Deposits | QueueName::Withdrawals | QueueName::Webhooks | QueueName::Maintenance => 1,
    }
}

/// The number of tasks, roughly, to which the dispatcher fills up a queue in Redis.
const fn window(queue: QueueName) -> u64 {
    match queue {
        QueueName::Transfers => 40,
        QueueName::Deposits | QueueName::Withdrawals | QueueName::Webhooks | QueueName::Maintenance => 1_000,
    }
}
