//! What lies in Redis and cannot be a task of ours is put aside, and work goes on from PostgreSQL.
//!
//! What Redis holds is input: another program, an operator's mistake or an older version may have written it. One task whose metadata apalis
//! cannot read ends the worker that fetches it, and then the next; a key of another type ends all of them. So before each life of a
//! worker, and whenever Redis refuses a command, the queue's keys and its first tasks are looked at by a script: what does not fit is
//! moved away for a week (`…:aside`), and all jobs are handed over anew, because what was put aside may have carried some.

use std::sync::LazyLock;

use redis::Script;

use super::{Carrier, CarrierError};
use crate::jobs::QueueName;

/// Tasks of each place that are looked at: more than a queue's window ever holds.
const LOOKED_AT: u32 = 10_000;

/// Where apalis lists the queues of this Redis, whatever their namespace.
const QUEUES: &str = "core:apalis:queues:list";

static PUT_ASIDE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/put_aside.lua")));

impl Carrier {
    /// Puts aside what is no task; says in words what it was, 20 things at most.
    ///
    /// # Errors
    /// When Redis fails or takes longer than a second.
    pub async fn put_aside(&self, queue: QueueName) -> Result<Vec<String>, CarrierError> {
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
                    .arg(LOOKED_AT);
                Ok(script.invoke_async(&mut redis).await?)
            })
            .await?;
        for what in &put_aside {
            tracing::error!(%queue, what, "put aside: it is no part of a queue");
        }
        Ok(put_aside)
    }
}
