//! Configuration: read once at the start, from the environment, into one struct per concern.
//!
//! A missing or unsafe variable is a [`ConfigError`], one line that names the variable and the mend; programs print it to
//! standard error and exit with [`CONFIG_EXIT_CODE`]. Each program reads only what it needs: [`ApiConfig`], [`WorkerConfig`],
//! [`OperatorConfig`]. Secrets do not print. An empty value counts as not set.
//!
//! Beside the variables every operator knows there are some of our own, all with safe defaults:
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `DATABASE_POOL_SIZE` | 10 | most database connections of one process |
//! | `REDIS_NAMESPACE` | `wallet` | begins every key of ours but the locks', so that several systems can share one Redis |
//! | `SUBSCRIPTION_POLL_SECONDS` | 2 | how long a watched row is not looked at when no change of it was announced, up to 3600 |
//! | `STRIPE_REQUESTS_PER_MINUTE` | 20 | requests of one person for which Stripe is asked while the person waits; 0 for no limit of their own |
//! | `WALLETS_PER_PERSON`, `WALLETS_PER_CURRENCY` | 100, 25 | most wallets of one person, and of those in one currency |
//! | `OPEN_PAYMENTS_PER_WALLET` | 1000 | most deposits and withdrawals of one wallet that have not ended |
//! | `STRIPE_SETTLEMENT_CURRENCIES` | not said | in which currencies the platform is paid; no others are offered |
//! | `TRUSTED_PROXIES` | nobody | proxies whose `X-Forwarded-For` tells a client's address |
//! | `JOB_TIMEOUT_SECONDS` | 120 | the longest that one run of a job may take, from 5 to 3600 |
//! | `DEBT_ALARM_ABOVE` | 100 | above which debt of a person an alarm is raised, in major units; `100,jpy:15000` for some currencies |
//! | `SHUTDOWN_GRACE_SECONDS` | 25 | how long what runs may take to end after SIGTERM, up to 3600 |
//! | `VERIFY_QUICK_SECONDS`, `VERIFY_COMPLETE_SECONDS`, `RECONCILE_SECONDS` | 60, 86400, 86400 | how often the books are checked; 0 = never |
//! | `MONEY_OUT_STOPS_ON` | `violations` | which findings stop money from going out: `violations`, `differences`, `shortages`, `nothing` |

mod api;
mod checks;
mod database;
mod encryption;
mod env;
mod error;
mod jwt;
mod limits;
mod logs;
mod network;
mod redis;
mod settlement;
mod stripe;
mod worker;

#[cfg(test)]
mod testing;

use std::time::Duration;

use crate::crypto::WrappingKeys;

pub use api::ApiConfig;
pub use checks::ChecksConfig;
pub use database::DatabaseConfig;
pub use env::{Env, ProcessEnv};
pub use error::{CONFIG_EXIT_CODE, ConfigError};
pub use jwt::{JwtConfig, JwtKey};
pub use limits::PersonLimits;
pub use logs::{LogConfig, LogFormat};
pub use network::{AllowedOrigins, TrustedProxies};
pub use redis::RedisConfig;
pub use settlement::SettlementCurrencies;
pub use stripe::StripeConfig;
pub(crate) use stripe::is_loopback;
pub use worker::{MetricsPort, WorkerConfig};

/// What `wallet-worker migrate` and most operators' commands need: the database and nothing else.
#[derive(Debug, Clone)]
pub struct OperatorConfig {
    /// PostgreSQL.
    pub database: DatabaseConfig,
    /// Logs and traces.
    pub logs: LogConfig,
}

impl OperatorConfig {
    /// Reads it.
    ///
    /// # Errors
    /// The first variable that is missing or wrong.
    pub fn read(env: &dyn Env) -> Result<Self, ConfigError> {
        Ok(Self {
            database: DatabaseConfig::read(env)?,
            logs: LogConfig::read_for_a_person(env)?,
        })
    }
}

/// What `wallet-worker rotate-keys` needs beside the database.
#[derive(Debug, Clone)]
pub struct KeysConfig {
    /// The keys that wrap data keys.
    pub encryption: WrappingKeys,
}

impl KeysConfig {
    /// Reads it.
    ///
    /// # Errors
    /// The first variable that is missing or wrong.
    pub fn read(env: &dyn Env) -> Result<Self, ConfigError> {
        Ok(Self {
            encryption: encryption::wrapping_keys(env)?,
        })
    }
}

/// What `wallet-worker reconcile` needs beside the database.
#[derive(Debug, Clone)]
pub struct ReconcileConfig {
    /// Stripe.
    pub stripe: StripeConfig,
    /// The keys that wrap data keys.
    pub encryption: WrappingKeys,
}

impl ReconcileConfig {
    /// Reads it.
    ///
    /// # Errors
    /// The first variable that is missing or wrong.
    pub fn read(env: &dyn Env) -> Result<Self, ConfigError> {
        Ok(Self {
            stripe: StripeConfig::read(env)?,
            encryption: encryption::wrapping_keys(env)?,
        })
    }
}

fn grace(env: &dyn Env) -> Result<Duration, ConfigError> {
    const NAME: &str = "SHUTDOWN_GRACE_SECONDS";
    const MEND: &str = "set it to a number of seconds from 0 to 3600";
    let seconds: u32 = env::parsed(env, NAME, 25, MEND)?;
    if seconds > 3_600 {
        return Err(ConfigError::new(NAME, "is more than an hour", MEND));
    }
    Ok(Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::testing::with;
    use super::*;

    #[test]
    fn operators_need_the_database_alone() {
        assert!(OperatorConfig::read(&with(&[("DATABASE_URL", "postgres://u@db/w")])).is_ok());
    }

    #[test]
    fn a_refusal_is_one_line_that_names_variable_problem_and_mend() {
        let error = ConfigError::new(
            "STRIPE_WEBHOOK_SECRET",
            "is empty",
            "set it to the endpoint's signing secret (whsec_…)",
        );
        assert_eq!(
            error.to_string(),
            "STRIPE_WEBHOOK_SECRET: is empty; set it to the endpoint's signing secret (whsec_…)"
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        use std::os::unix::ffi::OsStringExt;
        let env = |name: &str| (name == "DATABASE_URL").then(|| std::ffi::OsString::from_vec(vec![0xff]));
        assert_eq!(
            super::testing::error_of(OperatorConfig::read(&env)),
            "DATABASE_URL: is not UTF-8; set it to plain text"
        );
    }
}
