//! Puts aside whatever lies in Redis and cannot be one of our tasks, so that work can continue from PostgreSQL.
//!
//! The contents of Redis are untrusted input: another program, an operator's mistake or an older version may have written them. A single task
//! whose metadata apalis cannot read ends the worker that fetches it, and then the next worker; a key of the wrong type ends all of them. So
//! before each run of a worker, and whenever Redis refuses a command, a script checks the queue's keys and its first tasks. It moves what
//! does not fit away for a week (`…:aside`), and all jobs are dispatched again, because what was put aside may have carried some of them.

use std::sync::LazyLock;

use redis::Script;

use super::{QueueTransport, TransportError};
use crate::jobs::QueueName;

/// How many tasks are checked in each place (active, scheduled): more than a queue's window ever holds.
const INSPECTED_AT_ONCE: u32 = 10_000;

/// The key in which apalis lists all queues of this Redis, whatever their namespace.
const QUEUES: &str = "core:apalis:queues:list";

static PUT_ASIDE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/put_aside.lua")));

impl QueueTransport {
    /// Puts aside what is not a task and returns descriptions of it, at most 20.
    ///
    /// # Errors
    /// When Redis fails or takes longer than a second.
    pub async fn put_aside(&self, queue: QueueName) -> Result<Vec<String>, TransportError> {
        let names = self.names(queue);
        let put_aside: Vec<String> = self
            .link()
            .call(|mut redis| async move {
                let mut script = PUT_ASIDE.key(names.active());
                script
                    .key(names.data())
                    .key(names.scheduled())
                    .key(names.workers())
                    .key(names.members())
                    .key(names.done())
                    .key(names.dead())
                    .key(names.signal())
                    .key(names.marker())
                    .key(names.sign_of_life())
                    .key(QUEUES)
                    .arg(names.meta())
                    .arg(names.aside())
                    .arg(INSPECTED_AT_ONCE);
                Ok(script.invoke_async(&mut redis).await?)
            })
            .await?;
        for what in &put_aside {
            tracing::error!(%queue, what, "put aside: it is no part of a queue");
        }
        Ok(put_aside)
    }
}
