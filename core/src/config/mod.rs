//! Configuration: read once at the start from the environment, into one struct per concern.
//!
//! A missing or unsafe variable is a [`ConfigError`], one line that names the variable and the fix; programs print it to
//! standard error and exit with [`CONFIG_EXIT_CODE`]. Each program reads only what it needs: [`ApiConfig`], [`WorkerConfig`],
//! [`OperatorConfig`]. Secrets are never printed. An empty value counts as not set.
//!
//! Besides the variables that every operator knows, these are our own, all with safe defaults:
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `DATABASE_POOL_SIZE` | 10 | the maximum number of database connections per process |
//! | `REDIS_NAMESPACE` | `wallet` | the prefix of all our keys except the locks', so that several systems can share one Redis |
//! | `SUBSCRIPTION_POLL_SECONDS` | 2 | how often a watched row is read when no change of it was announced, up to 3600 |
//! | `STRIPE_REQUESTS_PER_MINUTE` | 20 | a person's requests that call Stripe while the person waits; 0 for no limit of their own |
//! | `WALLETS_PER_PERSON`, `WALLETS_PER_CURRENCY` | 100, 25 | the maximum number of wallets per person, in all and in one currency |
//! | `OPEN_PAYMENTS_PER_WALLET` | 1000 | the maximum number of unfinished deposits and withdrawals per wallet |
//! | `STRIPE_SETTLEMENT_CURRENCIES` | not set | the currencies that Stripe settles to the platform; no others are offered |
//! | `TRUSTED_PROXIES` | none | the proxies whose `X-Forwarded-For` is trusted for a client's address |
//! | `JOB_TIMEOUT_SECONDS` | 120 | the maximum duration of one run of a job, from 5 to 3600 |
//! | `DEBT_ALARM_ABOVE` | 100 | a person's debt above which an alarm is raised, in major units; `100,jpy:15000` for some currencies |
//! | `SHUTDOWN_GRACE_SECONDS` | 25 | how long running work may take to finish after SIGTERM, up to 3600 |
//! | `VERIFY_QUICK_SECONDS`, `VERIFY_COMPLETE_SECONDS`, `RECONCILE_SECONDS` | 60, 86400, 86400 | how often the ledger is checked; 0 = never |
//! | `PLATFORM_BALANCE_SECONDS` | 300 | how often Stripe's balance is compared with the wallets; 0 = never |
//! | `PAYOUT_CHANGE_COOL_OFF_HOURS` | 24 | how long withdrawals are refused after a change of the payout account |
//! | `STRIPE_CALLS_PER_SECOND` | 20 | the maximum rate of calls to Stripe, over all programs together |
//! | `REDLOCK_QUORUM_LOSS` | `wait` | without a majority of lock nodes, work waits, or proceeds (`proceed`) under row locks and fences |
//! | `MONEY_OUT_STOPS_ON` | `violations` | the findings that stop money-out: `violations`, `differences`, `shortages`, `nothing` |

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
mod settlement_currencies;
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
pub use settlement_currencies::SettlementCurrencies;
pub use stripe::StripeConfig;
pub(crate) use stripe::is_loopback;
pub use worker::{MetricsPort, WorkerConfig};

/// The configuration of `wallet-worker migrate` and most operator commands: the database and nothing else.
#[derive(Debug, Clone)]
pub struct OperatorConfig {
    /// PostgreSQL.
    pub database: DatabaseConfig,
    /// Logs and traces.
    pub logs: LogConfig,
}

impl OperatorConfig {
    /// Reads the variables.
    ///
    /// # Errors
    /// Returns an error that names the first missing or wrong variable.
    pub fn read(env: &dyn Env) -> Result<Self, ConfigError> {
        Ok(Self {
            database: DatabaseConfig::read(env)?,
            logs: LogConfig::read_for_a_person(env)?,
        })
    }
}

/// The configuration that `wallet-worker rotate-keys` needs besides the database.
#[derive(Debug, Clone)]
pub struct KeysConfig {
    /// The keys that wrap data keys.
    pub encryption: WrappingKeys,
}

impl KeysConfig {
    /// Reads the variables.
    ///
    /// # Errors
    /// Returns an error that names the first missing or wrong variable.
    pub fn read(env: &dyn Env) -> Result<Self, ConfigError> {
        Ok(Self {
            encryption: encryption::wrapping_keys(env)?,
        })
    }
}

/// The configuration that `wallet-worker reconcile` needs besides the database.
#[derive(Debug, Clone)]
pub struct ReconcileConfig {
    /// Stripe.
    pub stripe: StripeConfig,
    /// The keys that wrap data keys.
    pub encryption: WrappingKeys,
}

impl ReconcileConfig {
    /// Reads the variables.
    ///
    /// # Errors
    /// Returns an error that names the first missing or wrong variable.
    pub fn read(env: &dyn Env) -> Result<Self, ConfigError> {
        Ok(Self {
            stripe: StripeConfig::read(env)?,
            encryption: encryption::wrapping_keys(env)?,
        })
    }
}

fn grace(env: &dyn Env) -> Result<Duration, ConfigError> {
    const NAME: &str = "SHUTDOWN_GRACE_SECONDS";
    const FIX: &str = "set it to a number of seconds from 0 to 3600";
    let seconds: u32 = env::parsed(env, NAME, 25, FIX)?;
    if seconds > 3_600 {
        return Err(ConfigError::new(NAME, "is more than an hour", FIX));
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
