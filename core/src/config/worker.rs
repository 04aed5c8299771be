//! The configuration of the worker alone: `WORKER_QUEUES`, `WORKER_CONCURRENCY`, `JOB_TIMEOUT_SECONDS` and others.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::env::{items, optional, parsed};
use super::{
    ChecksConfig, ConfigError, DatabaseConfig, Env, LogConfig, RedisConfig, StripeConfig, encryption, grace,
};
use crate::crypto::WrappingKeys;
use crate::debts::{AlarmLimits, InvalidLimits};
use crate::jobs::QueueName;

const METRICS: &str = "METRICS_PORT";
const JOB_TIMEOUT: &str = "JOB_TIMEOUT_SECONDS";
const CONCURRENCY: &str = "WORKER_CONCURRENCY";
const DEFAULT_METRICS_PORT: u16 = 9090;
const DEFAULT_CONCURRENCY: NonZeroUsize = NonZeroUsize::MIN.saturating_add(15);
const DEFAULT_DEBT_ALARM: &str = "100";
const MOST_CONCURRENCY: usize = 1_000;

/// Where the worker serves metrics and health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsPort {
    /// Not set: this port, or the next free one, which is logged.
    FirstFreeFrom(u16),
    /// Set: this port. If another process has it, the next free one, with a warning, because workers that are scaled by a replica count
    /// share their variables.
    Asked(u16),
    /// `0`: they are not served.
    Off,
}

/// The configuration of `wallet-worker run`.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// PostgreSQL.
    pub database: DatabaseConfig,
    /// Redis.
    pub redis: RedisConfig,
    /// Stripe.
    pub stripe: StripeConfig,
    /// The keys that wrap data keys.
    pub encryption: WrappingKeys,
    /// `WORKER_QUEUES`: each queue once, in the order of [`QueueName::ALL`]; never empty.
    pub queues: Vec<QueueName>,
    /// `WORKER_CONCURRENCY`: the number of concurrent jobs per queue.
    pub concurrency: NonZeroUsize,
    /// `JOB_TIMEOUT_SECONDS`: the maximum duration of one run of a job. After it the run is dropped, or its lease is no longer renewed.
    pub job_timeout: Duration,
    /// `METRICS_PORT`.
    pub metrics_port: MetricsPort,
    /// How often the ledger is checked, and which findings stop money-out.
    pub checks: ChecksConfig,
    /// `DEBT_ALARM_ABOVE`: a person's debt above which an alarm is raised.
    pub debt_alarms: AlarmLimits,
    /// Logs and traces.
    pub logs: LogConfig,
    /// `SHUTDOWN_GRACE_SECONDS`: how long running jobs may take to finish after SIGTERM.
    pub shutdown_grace: Duration,
}

impl WorkerConfig {
    /// Reads all variables of the worker.
    ///
    /// # Errors
    /// Returns an error that names the first missing or unsafe variable.
    pub fn read(env: &dyn Env) -> Result<Self, ConfigError> {
        Ok(Self {
            database: DatabaseConfig::read(env)?,
            redis: RedisConfig::read(env)?,
            stripe: StripeConfig::read(env)?,
            encryption: encryption::wrapping_keys(env)?,
            queues: queues(env)?,
            concurrency: concurrency(env)?,
            job_timeout: job_timeout(env)?,
            metrics_port: metrics_port(env)?,
            checks: ChecksConfig::read(env)?,
            debt_alarms: debt_alarms(env)?,
            logs: LogConfig::read(env)?,
            shutdown_grace: grace(env)?,
        })
    }
}

fn debt_alarms(env: &dyn Env) -> Result<AlarmLimits, ConfigError> {
    const NAME: &str = "DEBT_ALARM_ABOVE";
    let fix = "set it to an amount in major units for every currency, such as 100, or 100,jpy:15000 with others for some";
    let text = optional(env, NAME)?.unwrap_or_else(|| DEFAULT_DEBT_ALARM.to_owned());
    text.parse()
        .map_err(|error: InvalidLimits| ConfigError::new(NAME, error.to_string(), fix))
}

fn queues(env: &dyn Env) -> Result<Vec<QueueName>, ConfigError> {
    const NAME: &str = "WORKER_QUEUES";
    let fix =
        "list some of transfers, deposits, withdrawals, webhooks, maintenance, or remove it to serve all";
    let Some(text) = optional(env, NAME)? else {
        return Ok(QueueName::ALL.to_vec());
    };
    let mut named = Vec::new();
    for item in items(&text) {
        let queue: QueueName = item
            .parse()
            .map_err(|_| ConfigError::new(NAME, format!("names the unknown queue {item:?}"), fix))?;
        named.push(queue);
    }
    if named.is_empty() {
        return Err(ConfigError::new(NAME, "names no queue", fix));
    }
    Ok(QueueName::ALL
        .iter()
        .copied()
        .filter(|queue| named.contains(queue))
        .collect())
}

fn concurrency(env: &dyn Env) -> Result<NonZeroUsize, ConfigError> {
    let fix = "set it to a number from 1 to 1000";
    let jobs = parsed(env, CONCURRENCY, DEFAULT_CONCURRENCY, fix)?;
    if jobs.get() > MOST_CONCURRENCY {
        return Err(ConfigError::new(CONCURRENCY, "is more than 1000", fix));
    }
    Ok(jobs)
}

fn job_timeout(env: &dyn Env) -> Result<Duration, ConfigError> {
    let fix = "set it to a number of seconds from 5 to 3600";
    let seconds: u32 = parsed(env, JOB_TIMEOUT, 120, fix)?;
    if !(5..=3_600).contains(&seconds) {
        return Err(ConfigError::new(JOB_TIMEOUT, format!("is {seconds}"), fix));
    }
    Ok(Duration::from_secs(seconds.into()))
}

fn metrics_port(env: &dyn Env) -> Result<MetricsPort, ConfigError> {
    if optional(env, METRICS)?.is_none() {
        return Ok(MetricsPort::FirstFreeFrom(DEFAULT_METRICS_PORT));
    }
    match parsed(env, METRICS, 0_u16, "set it to a port, or to 0 for none")? {
        0 => Ok(MetricsPort::Off),
        port => Ok(MetricsPort::Asked(port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{error_of, good, good_with, without};

    #[test]
    fn the_worker_needs_neither_the_webhook_secret_nor_a_token_key() {
        let config = WorkerConfig::read(&without(&["STRIPE_WEBHOOK_SECRET", "JWT_SECRET"])).unwrap();
        assert_eq!(config.queues, QueueName::ALL);
        assert_eq!(config.concurrency.get(), 16);
        assert_eq!(config.metrics_port, MetricsPort::FirstFreeFrom(9090));
        assert_eq!(config.shutdown_grace.as_secs(), 25);
        assert_eq!(config.job_timeout.as_secs(), 120);
        for needed in [
            "DATABASE_URL",
            "REDIS_URL",
            "STRIPE_SECRET_KEY",
            "ENCRYPTION_SECRET_KEY",
        ] {
            let line = error_of(WorkerConfig::read(&without(&[needed])));
            assert!(line.starts_with(&format!("{needed}: is not set; ")), "{line}");
        }
    }

    #[test]
    fn its_own_variables_are_read() {
        let env = good_with(&[
            ("WORKER_QUEUES", "webhooks, transfers,webhooks"),
            (CONCURRENCY, "4"),
            (METRICS, "9100"),
        ]);
        let config = WorkerConfig::read(&env).unwrap();
        assert_eq!(config.queues, [QueueName::Transfers, QueueName::Webhooks]);
        assert_eq!(config.concurrency.get(), 4);
        assert_eq!(config.metrics_port, MetricsPort::Asked(9100));
        assert_eq!(
            WorkerConfig::read(&good_with(&[(METRICS, "0")]))
                .unwrap()
                .metrics_port,
            MetricsPort::Off
        );
        assert!(WorkerConfig::read(&good()).is_ok());
    }

    #[test]
    fn wrong_values_are_refused() {
        for (name, value) in [
            ("WORKER_QUEUES", "transfers,refunds"),
            ("WORKER_QUEUES", ","),
            (CONCURRENCY, "0"),
            (CONCURRENCY, "1001"),
            (CONCURRENCY, "lots"),
            ("DEBT_ALARM_ABOVE", "lots"),
            ("DEBT_ALARM_ABOVE", "100,xyz:5"),
            ("DEBT_ALARM_ABOVE", "-1"),
            (METRICS, "http"),
            (METRICS, "70000"),
        ] {
            let line = error_of(WorkerConfig::read(&good_with(&[(name, value)])));
            assert!(line.starts_with(&format!("{name}: ")), "{line}");
        }
    }
}
