//! The names of everything a queue keeps in Redis: apalis' own keys and ours, under one hash tag.

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

    /// What apalis needs to push; the consumer adds how it wants to fetch.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Where wake-ups are published.
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

    /// Pushed to whenever something is active.
    pub(super) fn signal(&self) -> String {
        self.config.signal_list()
    }

    /// The last things that were put aside because they are no tasks.
    pub(super) fn aside(&self) -> String {
        format!("{}:aside", self.prefix)
    }

    /// Hash of the payloads, by task id.
    pub(super) fn data(&self) -> String {
        self.config.job_data_hash()
    }

    /// A task's own hash is `<this>:<task id>`.
    pub(super) fn meta(&self) -> String {
        self.config.job_meta_hash()
    }

    /// Sorted set of apalis workers, by their own clocks.
    pub(super) fn workers(&self) -> String {
        self.config.workers_set()
    }

    /// What a worker has fetched is the set `<this>:<worker>`.
    pub(super) fn inflight(&self) -> String {
        self.config.inflight_jobs_set()
    }

    /// A worker's description is the hash `<this>:<worker>`.
    pub(super) fn worker_meta(&self) -> String {
        format!("{}:workers:metadata", self.prefix)
    }

    /// Sorted set of our workers, by the clock of Redis.
    pub(super) fn members(&self) -> String {
        format!("{}:members", self.prefix)
    }

    /// Written to see that Redis can be written to.
    pub(super) fn sign_of_life(&self) -> String {
        format!("{}:sign-of-life", self.prefix)
    }

    /// There as long as Redis has not been emptied.
    pub(super) fn marker(&self) -> String {
        format!("{}:present", self.prefix)
    }
}
