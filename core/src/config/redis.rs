//! `REDIS_URL`, `REDIS_NAMESPACE`, `REDLOCK_URLS` and `REDLOCK_QUORUM_LOSS`.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::env::{optional, required, secret_list};
use super::{ConfigError, Env};
use crate::locks::QuorumLoss;

/// Redis: the queue's node and the lock nodes.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    /// `REDIS_URL`: the node of the queue, sessions, caches and rate limits.
    pub url: SecretString,
    /// `REDIS_NAMESPACE`: the prefix of all our keys except the locks', so that several systems can share one Redis.
    pub namespace: String,
    /// `REDLOCK_URLS`: the independent lock nodes, each named once; only [`RedisConfig::url`] when not set.
    pub lock_urls: Vec<SecretString>,
    /// `REDLOCK_QUORUM_LOSS`: what workers do while fewer than a majority of the lock nodes answer.
    pub quorum_loss: QuorumLoss,
}

impl RedisConfig {
    /// Reads the four variables.
    ///
    /// # Errors
    /// Returns an error that names the first missing or wrong variable.
    pub fn read(env: &dyn Env) -> Result<Self, ConfigError> {
        let url = SecretString::from(required(env, "REDIS_URL", "set it to redis://host:6379")?);
        check("REDIS_URL", &url)?;
        let mut lock_urls = secret_list(env, "REDLOCK_URLS")?;
        let mut seen = Vec::new();
        for lock_url in &lock_urls {
            check("REDLOCK_URLS", lock_url)?;
            if seen.contains(&lock_url.expose_secret()) {
                // A node that votes twice would be a quorum by itself.
                return Err(ConfigError::new(
                    "REDLOCK_URLS",
                    "names a node twice",
                    "list each independent node once",
                ));
            }
            seen.push(lock_url.expose_secret());
        }
        if lock_urls.is_empty() {
            lock_urls.push(url.clone());
        }
        Ok(Self {
            url,
            namespace: namespace(env)?,
            lock_urls,
            quorum_loss: quorum_loss(env)?,
        })
    }
}

fn quorum_loss(env: &dyn Env) -> Result<QuorumLoss, ConfigError> {
    const NAME: &str = "REDLOCK_QUORUM_LOSS";
    match optional(env, NAME)?.as_deref() {
        None | Some("wait") => Ok(QuorumLoss::Wait),
        Some("proceed") => Ok(QuorumLoss::Proceed),
        Some(_) => Err(ConfigError::new(
            NAME,
            "is neither wait nor proceed",
            "wait stops work until the lock nodes are back; proceed goes on under row locks and fences",
        )),
    }
}

fn namespace(env: &dyn Env) -> Result<String, ConfigError> {
    const NAME: &str = "REDIS_NAMESPACE";
    let name = optional(env, NAME)?.unwrap_or_else(|| "wallet".to_owned());
    let fits = name.len() <= 64
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if fits {
        Ok(name)
    } else {
        Err(ConfigError::new(
            NAME,
            "has characters that a key must not have",
            "use up to 64 letters, digits, - and _",
        ))
    }
}

fn check(name: &'static str, text: &SecretString) -> Result<(), ConfigError> {
    let fix = "use redis://host:6379/0, rediss:// with TLS, or redis+unix:///path?db=0";
    let refused = |problem: String| ConfigError::new(name, problem, fix);
    let url = Url::parse(text.expose_secret()).map_err(|error| refused(format!("is not a URL ({error})")))?;
    let known: &[&str] = match url.scheme() {
        "redis" | "rediss" if url.host_str().is_some_and(|host| !host.is_empty()) => &["protocol"],
        "redis" | "rediss" => return Err(refused("names no host".to_owned())),
        "redis+unix" | "unix" => &["db", "user", "pass", "protocol"],
        _ => return Err(refused("is not a Redis URL".to_owned())),
    };
    // The client would silently drop an option that it does not know, such as a timeout.
    if let Some((option, _)) = url
        .query_pairs()
        .find(|(option, _)| !known.contains(&option.as_ref()))
    {
        return Err(refused(format!(
            "has the option {option:?}, which is not followed"
        )));
    }
    if url
        .fragment()
        .is_some_and(|fragment| url.scheme() != "rediss" || fragment != "insecure")
    {
        return Err(refused("has a part after # that is not followed".to_owned()));
    }
    // Checks the database number and the rest as the client parses them; its message contains no value.
    redis::Client::open(url).map_err(|error| {
        refused(format!(
            "cannot be read ({})",
            error.detail().unwrap_or("a part is not understood")
        ))
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{error_of, with};

    #[test]
    fn the_queue_node_is_the_lock_node_unless_others_are_named() {
        let alone = RedisConfig::read(&with(&[("REDIS_URL", "redis://redis:6379")])).unwrap();
        assert_eq!(alone.lock_urls.len(), 1);
        assert_eq!(alone.lock_urls[0].expose_secret(), "redis://redis:6379");
        let env = with(&[
            ("REDIS_URL", "rediss://:pw@redis:6380/1"),
            (
                "REDLOCK_URLS",
                "redis://127.0.0.1:1, redis://127.0.0.1:2,redis+unix:///tmp/r.sock,",
            ),
        ]);
        assert_eq!(RedisConfig::read(&env).unwrap().lock_urls.len(), 3);
    }

    #[test]
    fn a_lost_quorum_is_waited_for_unless_told_otherwise() {
        let loss = |value: &str| {
            let env = with(&[("REDIS_URL", "redis://r"), ("REDLOCK_QUORUM_LOSS", value)]);
            RedisConfig::read(&env).map(|config| config.quorum_loss)
        };
        let unset = RedisConfig::read(&with(&[("REDIS_URL", "redis://r")])).unwrap();
        assert_eq!(unset.quorum_loss, QuorumLoss::Wait);
        assert_eq!(loss("wait").unwrap(), QuorumLoss::Wait);
        assert_eq!(loss("proceed").unwrap(), QuorumLoss::Proceed);
        assert!(error_of(loss("maybe")).starts_with("REDLOCK_QUORUM_LOSS: is neither"));
    }

    #[test]
    fn wrong_urls_are_refused_without_printing_the_password() {
        for url in ["", "redis:6379", "http://:hunter2@redis", "redis://", "::"] {
            let line = error_of(RedisConfig::read(&with(&[("REDIS_URL", url)])));
            assert!(
                line.starts_with("REDIS_URL: ") && !line.contains("hunter2"),
                "{line}"
            );
        }
        for url in [
            "redis://:hunter2@redis?timeout=5",
            "redis://:hunter2@redis/0?db=3",
            "redis://:hunter2@redis/first",
            "redis://:hunter2@redis#insecure",
            "rediss://:hunter2@redis#trust",
            "redis+unix:///tmp/r.sock?password=hunter2",
        ] {
            for name in ["REDIS_URL", "REDLOCK_URLS"] {
                let env = with(&[("REDIS_URL", "redis://r"), (name, url)]);
                let line = error_of(RedisConfig::read(&env));
                assert!(line.starts_with(name) && !line.contains("hunter2"), "{line}");
            }
        }
        let twice = with(&[
            ("REDIS_URL", "redis://r"),
            ("REDLOCK_URLS", "redis://a,redis://b,redis://a"),
        ]);
        assert_eq!(
            error_of(RedisConfig::read(&twice)),
            "REDLOCK_URLS: names a node twice; list each independent node once"
        );
    }
}
