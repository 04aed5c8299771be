//! `DATABASE_URL`, `DATABASE_REPLICA_URL` and `DATABASE_POOL_SIZE`.

use std::num::NonZeroU32;

use secrecy::SecretString;

use super::env::{optional, parsed, required};
use super::{ConfigError, Env};

const POOL_SIZE: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

/// The connection to PostgreSQL.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// `DATABASE_URL`. Every option in it is applied, or the URL is refused. `sslmode` is `disable`, `prefer` (the default) or `require`;
    /// `verify-ca` and `verify-full` have been replaced by `require`, since a server's certificate is always verified here.
    pub url: SecretString,
    /// `DATABASE_REPLICA_URL`: where list and history reads may go.
    pub replica_url: Option<SecretString>,
    /// `DATABASE_POOL_SIZE`: the maximum number of connections per process to each of the two.
    pub pool_size: NonZeroU32,
}

impl DatabaseConfig {
    /// Reads the three variables.
    ///
    /// # Errors
    /// Returns an error that names the first missing or wrong variable.
    pub fn read(env: &dyn Env) -> Result<Self, ConfigError> {
        const FIX: &str = "set it to postgres://user:password@host:5432/database";
        let url = checked("DATABASE_URL", &required(env, "DATABASE_URL", FIX)?)?;
        let replica_url = optional(env, "DATABASE_REPLICA_URL")?
            .map(|url| checked("DATABASE_REPLICA_URL", &url))
            .transpose()?;
        let pool_size = parsed(
            env,
            "DATABASE_POOL_SIZE",
            POOL_SIZE,
            "set it to a number of connections, such as 10",
        )?;
        Ok(Self {
            url,
            replica_url,
            pool_size,
        })
    }
}

fn checked(name: &'static str, text: &str) -> Result<SecretString, ConfigError> {
    if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
        return Err(ConfigError::new(
            name,
            "is not a PostgreSQL URL",
            "set it to postgres://user:password@host:5432/database",
        ));
    }
    let url = with_known_sslmode(text);
    let parsed = url.parse::<tokio_postgres::Config>().map_err(|error| {
        // The driver's message names the parameter and never the value.
        let problem =
            std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        ConfigError::new(
            name,
            format!("cannot be read ({problem})"),
            "set it to postgres://user:password@host:5432/database; settings of the session go into ?options=-cname%3Dvalue",
        )
    })?;
    if parsed.get_hosts().is_empty() {
        return Err(ConfigError::new(
            name,
            "names no host",
            "set it to postgres://user:password@host:5432/database",
        ));
    }
    Ok(SecretString::from(url))
}

/// Replaces libpq's `verify-ca` and `verify-full`, which the driver does not know, by `require`, which does the same here.
fn with_known_sslmode(url: &str) -> String {
    let Some((before, query)) = url.split_once('?') else {
        return url.to_owned();
    };
    let parameters: Vec<&str> = query
        .split('&')
        .map(|parameter| match parameter {
            "sslmode=verify-ca" | "sslmode=verify-full" => "sslmode=require",
            other => other,
        })
        .collect();
    format!("{before}?{}", parameters.join("&"))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::config::testing::{error_of, with};

    #[test]
    fn urls_of_every_kind_are_taken() {
        for url in [
            "postgresql://user:password@postgres:5432/mydb",
            "postgres://wallet@127.0.0.1/wallet?sslmode=disable",
            "postgres://wallet@%2Ftmp%2Fsocket/wallet",
            "postgres://wallet@/wallet?host=/tmp/socket",
            "postgres://a:b@one,two:5433/wallet?target_session_attrs=read-write",
            "postgres://wallet@db/wallet?options=-csearch_path%3Dours&application_name=us&connect_timeout=3",
        ] {
            let config = DatabaseConfig::read(&with(&[("DATABASE_URL", url)])).unwrap();
            assert_eq!(config.url.expose_secret(), url);
            assert_eq!((config.pool_size.get(), config.replica_url.is_none()), (10, true));
        }
    }

    #[test]
    fn verification_is_what_require_means() {
        let env = with(&[(
            "DATABASE_URL",
            "postgres://u@db/w?sslmode=verify-full&connect_timeout=3",
        )]);
        let config = DatabaseConfig::read(&env).unwrap();
        assert_eq!(
            config.url.expose_secret(),
            "postgres://u@db/w?sslmode=require&connect_timeout=3"
        );
    }

    #[test]
    fn other_urls_are_refused_without_printing_the_password() {
        for url in [
            "",
            "localhost",
            "mysql://u:hunter2@db/w",
            "postgres://u:hunter2@db/w?sslmode=maybe",
            "postgres:///w",
            "postgres://u:hunter2@db:x/w",
            // An option that the driver would drop is refused.
            "postgres://u:hunter2@db/w?search_path=ours",
            "postgres://u:hunter2@db/w?sslrootcert=/etc/ca.pem",
            "postgres://u:hunter2@db/w?target_session_attrs=primary",
            "postgres://u:hunter2@db/w?connect_timeout=soon",
            "postgres://u:hunter2@db/w?statement_timeout=5",
            "postgres://u:hunter2@db/w?sslmode=allow",
        ] {
            let line = error_of(DatabaseConfig::read(&with(&[("DATABASE_URL", url)])));
            assert!(
                line.starts_with("DATABASE_URL: ") && !line.contains("hunter2"),
                "{line}"
            );
        }
        let line = error_of(DatabaseConfig::read(&with(&[])));
        assert_eq!(
            line,
            "DATABASE_URL: is not set; set it to postgres://user:password@host:5432/database"
        );
        let replica = with(&[
            ("DATABASE_URL", "postgres://u@db/w"),
            ("DATABASE_REPLICA_URL", "redis://x"),
        ]);
        assert!(
            error_of(DatabaseConfig::read(&replica))
                .starts_with("DATABASE_REPLICA_URL: is not a PostgreSQL URL")
        );
        for size in ["0", "-1", "many"] {
            let env = with(&[
                ("DATABASE_URL", "postgres://u@db/w"),
                ("DATABASE_POOL_SIZE", size),
            ]);
            assert!(
                error_of(DatabaseConfig::read(&env)).starts_with("DATABASE_POOL_SIZE: "),
                "{size}"
            );
        }
    }
}
