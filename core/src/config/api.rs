//! The configuration of the API alone: its port, whose tokens it accepts, its limits.

use std::num::NonZeroU32;
use std::time::Duration;

use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};

use super::env::{flag, parsed, required};
use super::{
    AllowedOrigins, ConfigError, DatabaseConfig, Env, JwtConfig, JwtKey, LogConfig, PersonLimits,
    RedisConfig, StripeConfig, TrustedProxies,
};
use super::{encryption, grace, stripe};
use crate::crypto::{KeyProblem, WrappingKeys};

const DEFAULT_PORT: u16 = 8080;
const DEFAULT_RATE: u32 = 600;
const DEFAULT_STRIPE_RATE: u32 = 20;
const DEFAULT_POLL: NonZeroU32 = NonZeroU32::MIN.saturating_add(1);
const POLL: &str = "SUBSCRIPTION_POLL_SECONDS";
const LONGEST_POLL: u32 = 3_600;
const COOL_OFF: &str = "PAYOUT_CHANGE_COOL_OFF_HOURS";
const DEFAULT_COOL_OFF_HOURS: u16 = 24;
const LONGEST_COOL_OFF_HOURS: u16 = 720;

/// The configuration of `wallet-api`.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// PostgreSQL.
    pub database: DatabaseConfig,
    /// Redis.
    pub redis: RedisConfig,
    /// Stripe: the API itself reads payout accounts and opens them.
    pub stripe: StripeConfig,
    /// `STRIPE_WEBHOOK_SECRET`: one or more, each `whsec_…`.
    pub webhook_secrets: Vec<SecretString>,
    /// The keys that wrap data keys.
    pub encryption: WrappingKeys,
    /// The keys and claims by which tokens are accepted.
    pub jwt: JwtConfig,
    /// `PORT`; with 0 the system chooses one.
    pub port: u16,
    /// `RATE_LIMIT_PER_MINUTE`: the requests that a user may send; `None` for no limit.
    pub rate_limit_per_minute: Option<NonZeroU32>,
    /// `STRIPE_REQUESTS_PER_MINUTE`: of those, the ones that call Stripe while the user waits; `None` for no limit of their own.
    pub stripe_requests_per_minute: Option<NonZeroU32>,
    /// `SUBSCRIPTION_POLL_SECONDS`: how often a watched row is read when no change of it was announced.
    pub subscription_poll: Duration,
    /// `PAYOUT_CHANGE_COOL_OFF_HOURS`: how long withdrawals wait after a wallet's payout account was changed.
    pub cool_off: TimeDelta,
    /// How many wallets and open payments one person may have.
    pub limits: PersonLimits,
    /// `TRUSTED_PROXIES`: the proxies that are trusted for a client's address.
    pub trusted_proxies: TrustedProxies,
    /// `CORS_ALLOWED_ORIGINS`: the origins whose pages may use the API from a browser.
    pub allowed_origins: AllowedOrigins,
    /// `GRAPHIQL`: whether `GET /graphql` serves GraphiQL.
    pub graphiql: bool,
    /// Logs and traces.
    pub logs: LogConfig,
    /// `SHUTDOWN_GRACE_SECONDS`: how long open requests may take to finish after SIGTERM.
    pub shutdown_grace: Duration,
}

impl ApiConfig {
    /// Reads all variables of the API.
    ///
    /// # Errors
    /// Returns an error that names the first missing or unsafe variable.
    pub fn read(env: &dyn Env) -> Result<Self, ConfigError> {
        let config = Self {
            database: DatabaseConfig::read(env)?,
            redis: RedisConfig::read(env)?,
            stripe: StripeConfig::read(env)?,
            webhook_secrets: stripe::webhook_secrets(env)?,
            encryption: encryption::wrapping_keys(env)?,
            jwt: JwtConfig::read(env)?,
            port: parsed(env, "PORT", DEFAULT_PORT, "set it to a port, such as 8080")?,
            rate_limit_per_minute: NonZeroU32::new(parsed(
                env,
                "RATE_LIMIT_PER_MINUTE",
                DEFAULT_RATE,
                "set it to a number of requests, or to 0 for no limit",
            )?),
            stripe_requests_per_minute: NonZeroU32::new(parsed(
                env,
                "STRIPE_REQUESTS_PER_MINUTE",
                DEFAULT_STRIPE_RATE,
                "set it to a number of requests, or to 0 for no limit",
            )?),
            subscription_poll: subscription_poll(env)?,
            cool_off: cool_off(env)?,
            limits: PersonLimits::read(env)?,
            trusted_proxies: TrustedProxies::read(env)?,
            allowed_origins: AllowedOrigins::read(env)?,
            graphiql: flag(env, "GRAPHIQL")?,
            logs: LogConfig::read(env)?,
            shutdown_grace: grace(env)?,
        };
        one_secret_one_use(env, &config)?;
        Ok(config)
    }
}

fn cool_off(env: &dyn Env) -> Result<TimeDelta, ConfigError> {
    const FIX: &str = "set it to a number of hours from 0 to 720";
    let hours: u16 = parsed(env, COOL_OFF, DEFAULT_COOL_OFF_HOURS, FIX)?;
    if hours > LONGEST_COOL_OFF_HOURS {
        return Err(ConfigError::new(COOL_OFF, "is more than thirty days", FIX));
    }
    Ok(TimeDelta::hours(hours.into()))
}

fn subscription_poll(env: &dyn Env) -> Result<Duration, ConfigError> {
    const FIX: &str = "set it to a number of seconds from 1 to 3600";
    let seconds = parsed(env, POLL, DEFAULT_POLL, FIX)?.get();
    if seconds > LONGEST_POLL {
        return Err(ConfigError::new(POLL, "is more than an hour", FIX));
    }
    Ok(Duration::from_secs(seconds.into()))
}

/// Refuses a secret that serves two purposes: if it leaks from one use, it is lost for both.
fn one_secret_one_use(env: &dyn Env, config: &ApiConfig) -> Result<(), ConfigError> {
    let fix = "give each its own (`openssl rand -base64 48`)";
    let encryption = SecretString::from(required(env, encryption::KEY, KeyProblem::FIX)?);
    for key in &config.jwt.keys {
        let JwtKey::Hs256(secret) = key else { continue };
        let secret = secret.expose_secret();
        if secret == encryption.expose_secret() {
            return Err(ConfigError::new(
                "JWT_SECRET",
                "is the same as ENCRYPTION_SECRET_KEY",
                fix,
            ));
        }
        if config
            .webhook_secrets
            .iter()
            .any(|webhook| webhook.expose_secret() == secret)
        {
            return Err(ConfigError::new(
                "JWT_SECRET",
                "is the same as STRIPE_WEBHOOK_SECRET",
                fix,
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{KEY, error_of, good, good_with, without};

    #[test]
    fn defaults_are_those_of_the_contract() {
        let config = ApiConfig::read(&good()).unwrap();
        assert_eq!(config.port, 8080);
        assert_eq!(config.rate_limit_per_minute.map(NonZeroU32::get), Some(600));
        assert_eq!(config.stripe_requests_per_minute.map(NonZeroU32::get), Some(20));
        assert!(!config.graphiql);
        assert_eq!(config.subscription_poll.as_secs(), 2);
        assert_eq!(config.cool_off, crate::accept::DEFAULT_COOL_OFF);
        assert_eq!(config.stripe.api_base.as_str(), "https://api.stripe.com/");
        assert_eq!(config.shutdown_grace.as_secs(), 25);
    }

    #[test]
    fn each_required_variable_is_named_when_it_is_missing() {
        for needed in [
            "DATABASE_URL",
            "REDIS_URL",
            "STRIPE_SECRET_KEY",
            "STRIPE_WEBHOOK_SECRET",
            "ENCRYPTION_SECRET_KEY",
            "JWT_SECRET",
        ] {
            let line = error_of(ApiConfig::read(&without(&[needed])));
            assert!(line.starts_with(&format!("{needed}: is not set; ")), "{line}");
        }
    }

    #[test]
    fn the_api_does_not_look_at_what_is_the_workers() {
        let env = good_with(&[
            ("WORKER_CONCURRENCY", "0"),
            ("WORKER_QUEUES", "x"),
            ("METRICS_PORT", "x"),
        ]);
        assert!(ApiConfig::read(&env).is_ok());
    }

    #[test]
    fn its_own_variables_are_read() {
        let config = ApiConfig::read(&good_with(&[
            ("PORT", "0"),
            ("RATE_LIMIT_PER_MINUTE", "0"),
            ("GRAPHIQL", "TRUE"),
            (POLL, "30"),
        ]))
        .unwrap();
        assert_eq!(config.subscription_poll.as_secs(), 30);
        assert_eq!(
            (config.port, config.rate_limit_per_minute, config.graphiql),
            (0, None, true)
        );
        for (name, value) in [
            ("PORT", "http"),
            ("PORT", "65536"),
            ("RATE_LIMIT_PER_MINUTE", "-1"),
            ("STRIPE_REQUESTS_PER_MINUTE", "many"),
            ("GRAPHIQL", "maybe"),
            (POLL, "0"),
            (POLL, "3601"),
            (COOL_OFF, "721"),
            (COOL_OFF, "-1"),
            (COOL_OFF, "a day"),
            ("SHUTDOWN_GRACE_SECONDS", "soon"),
            ("LOG_FORMAT", "xml"),
            ("RUST_LOG", "wallet_core=loud"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector"),
        ] {
            let line = error_of(ApiConfig::read(&good_with(&[(name, value)])));
            assert!(line.starts_with(&format!("{name}: ")), "{line}");
        }
    }

    #[test]
    fn one_secret_for_two_uses_is_refused() {
        let line = error_of(ApiConfig::read(&good_with(&[("JWT_SECRET", KEY)])));
        assert!(
            line.starts_with("JWT_SECRET: is the same as ENCRYPTION_SECRET_KEY; "),
            "{line}"
        );
        let shared = "whsec_5f2b6a9be1c74d0fb2a8a1c09b6ae5d4";
        let line = error_of(ApiConfig::read(&good_with(&[
            ("JWT_SECRET", shared),
            ("STRIPE_WEBHOOK_SECRET", shared),
        ])));
        assert!(
            line.starts_with("JWT_SECRET: is the same as STRIPE_WEBHOOK_SECRET; "),
            "{line}"
        );
    }

    #[test]
    fn a_whole_configuration_prints_no_secret() {
        let config = ApiConfig::read(&good_with(&[
            ("DATABASE_URL", "postgres://u:hunter2@db/w"),
            ("REDIS_URL", "redis://:hunter2@r"),
        ]))
        .unwrap();
        let printed = format!("{config:?}");
        for secret in ["hunter2", "sk_test_", "whsec_", KEY, crate::config::testing::JWT] {
            assert!(!printed.contains(secret), "{secret} in {printed}");
        }
    }
}
