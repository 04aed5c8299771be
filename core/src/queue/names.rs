//! The names of everything that a queue keeps in Redis: apalis' keys and our own, under one hash tag.

use apalis_redis::Config;

use crate::jobs::QueueName;

/// The keys of one queue of one namespace, `<namespace>:{<queue>}:…`.
#[derive(Debug, Clone)]
pub(super) struct Names {
    config: Config,
    prefix: String,
    channel: String,
}

impl Names {
    pub(super) fn new(namespace: &str, queue: QueueName) -> Self {
        let prefix = format!("{namespace}:{{{queue}}}");
        let channel = format!("{namespace}:wake:{queue}");
        Self {
            config: Config::default().queue(&prefix),
            prefix,
            channel,
        }
    }

    /// The configuration that apalis needs for a push; the consumer adds the settings for fetching.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// The channel on which wake-ups are published.
    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    pub(super) fn scheduled(&self) -> String {
        self.config.scheduled_jobs_set()
    }

    pub(super) fn active(&self) -> String {
        self.config.active_jobs_list()
    }

    pub(super) fn done(&self) -> String {
        self.config.done_jobs_set()
    }

    pub(super) fn dead(&self) -> String {
        self.config.dead_jobs_set()
    }

    /// A list to which an entry is pushed whenever there are active tasks.
    pub(super) fn signal(&self) -> String {
        self.config.signal_list()
    }

    /// The list of what was last put aside because it is not a task.
    pub(super) fn aside(&self) -> String {
        format!("{}:aside", self.prefix)
    }

    /// The hash of the payloads, by task id.
    pub(super) fn data(&self) -> String {
        self.config.job_data_hash()
    }

    /// The prefix of the tasks' own hashes, `<this>:<task id>`.
    pub(super) fn meta(&self) -> String {
        self.config.job_meta_hash()
    }

    /// The sorted set of apalis workers, by their own clocks.
    pub(super) fn workers(&self) -> String {
        self.config.workers_set()
    }

    /// The prefix of the sets of tasks that each worker has fetched, `<this>:<worker>`.
    pub(super) fn inflight(&self) -> String {
        self.config.inflight_jobs_set()
    }

    /// The prefix of the hashes that describe the workers, `<this>:<worker>`.
    pub(super) fn worker_meta(&self) -> String {
        format!("{}:workers:metadata", self.prefix)
    }

    /// The sorted set of our workers, by the clock of Redis.
    pub(super) fn members(&self) -> String {
        format!("{}:members", self.prefix)
    }

    /// A key that is written to check that Redis accepts writes.
    pub(super) fn sign_of_life(&self) -> String {
        format!("{}:sign-of-life", self.prefix)
    }

    /// A key that exists as long as Redis has not been emptied.
    pub(super) fn marker(&self) -> String {
        format!("{}:present", self.prefix)
    }
}
