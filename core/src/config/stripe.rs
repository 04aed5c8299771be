//! `STRIPE_SECRET_KEY`, `STRIPE_API_BASE`, `STRIPE_CALLS_PER_SECOND` and `STRIPE_WEBHOOK_SECRET`.

use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use super::env::{optional, parsed, required, secret_list};
use super::{ConfigError, Env, SettlementCurrencies};
use crate::crypto::weakness::{is_pattern, is_placeholder};

const KEY: &str = "STRIPE_SECRET_KEY";
const BASE: &str = "STRIPE_API_BASE";
const WEBHOOK: &str = "STRIPE_WEBHOOK_SECRET";
const CALLS: &str = "STRIPE_CALLS_PER_SECOND";
/// Below the limit of 25 in Stripe's sandboxes, and far below the 100 of live mode (<https://docs.stripe.com/rate-limits>).
const DEFAULT_CALLS: u32 = 20;
const MOST_CALLS: u32 = 1_000;
const VENDOR_HOST: &str = "api.stripe.com";

/// The connection to Stripe.
#[derive(Debug, Clone)]
pub struct StripeConfig {
    /// `STRIPE_SECRET_KEY`.
    pub secret_key: SecretString,
    /// `STRIPE_API_BASE`, without a path.
    pub api_base: Url,
    /// Whether the key moves real money.
    pub live: bool,
    /// `STRIPE_CALLS_PER_SECOND`: the maximum for the platform, over all programs together. Housekeeping keeps to a quarter of it.
    pub calls_per_second: u32,
    /// `STRIPE_SETTLEMENT_CURRENCIES`: the currencies that Stripe settles to the platform.
    pub settlement_currencies: SettlementCurrencies,
}

impl StripeConfig {
    /// Reads the variables, and refuses combinations that would show a key to strangers.
    ///
    /// # Errors
    /// Returns an error that names the first missing or unsafe variable.
    pub fn read(env: &dyn Env) -> Result<Self, ConfigError> {
        let secret_key = required(
            env,
            KEY,
            "set it to the secret key of the Stripe account (sk_test_… or sk_live_…)",
        )?;
        let live = is_live(&secret_key)?;
        let api_base = api_base(env)?;
        if live
            && (api_base.scheme() != "https"
                || api_base.host_str() != Some(VENDOR_HOST)
                || api_base.port().is_some())
        {
            return Err(ConfigError::new(
                BASE,
                "is not Stripe's while STRIPE_SECRET_KEY is a live key",
                "remove it, or use a test key (sk_test_…)",
            ));
        }
        Ok(Self {
            secret_key: SecretString::from(secret_key),
            api_base,
            live,
            calls_per_second: calls_per_second(env)?,
            settlement_currencies: SettlementCurrencies::read(env)?,
        })
    }
}

/// Returns whether a secret key is a live key, or an error if it is no secret key at all.
fn is_live(key: &str) -> Result<bool, ConfigError> {
    let fix = "set it to the secret key from the Stripe dashboard (sk_test_… or sk_live_…)";
    if is_placeholder(key) {
        return Err(ConfigError::new(KEY, "is a placeholder", fix));
    }
    if key.starts_with("pk_") {
        return Err(ConfigError::new(KEY, "is a publishable key", fix));
    }
    let kinds = [
        ("sk_test_", false),
        ("rk_test_", false),
        ("sk_live_", true),
        ("rk_live_", true),
    ];
    let found = kinds
        .iter()
        .find_map(|(prefix, live)| key.strip_prefix(prefix).map(|rest| (rest, *live)));
    match found {
        Some((rest, live))
            if !rest.is_empty()
                && rest
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') =>
        {
            Ok(live)
        }
        _ => Err(ConfigError::new(KEY, "is not a Stripe secret key", fix)),
    }
}

fn calls_per_second(env: &dyn Env) -> Result<u32, ConfigError> {
    let fix = "set it to a number from 1 to 1000";
    let calls = parsed(env, CALLS, DEFAULT_CALLS, fix)?;
    if !(1..=MOST_CALLS).contains(&calls) {
        return Err(ConfigError::new(CALLS, format!("is {calls}"), fix));
    }
    Ok(calls)
}

fn api_base(env: &dyn Env) -> Result<Url, ConfigError> {
    let fix = "remove it for Stripe itself, or set it to the simulator's http://127.0.0.1:<port>";
    let text = optional(env, BASE)?.unwrap_or_else(|| format!("https://{VENDOR_HOST}"));
    let url =
        Url::parse(&text).map_err(|error| ConfigError::new(BASE, format!("is not a URL ({error})"), fix))?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !bare || !url.username().is_empty() || url.password().is_some() {
        return Err(ConfigError::new(
            BASE,
            "has more than a scheme, a host and a port",
            fix,
        ));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(ConfigError::new(
            BASE,
            "is plain http to another machine",
            "use https",
        )),
        _ => Err(ConfigError::new(BASE, "is not an http(s) URL", fix)),
    }
}

/// Returns whether a URL leads to this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// The minimum number of characters after `whsec_`.
const SHORTEST_SIGNING_SECRET: usize = 8;

/// Reads `STRIPE_WEBHOOK_SECRET`: one signing secret or several (rotation, the Connect endpoint), each `whsec_…`.
///
/// # Errors
/// Returns an error if there is none, or one of them is not a signing secret.
pub(super) fn webhook_secrets(env: &dyn Env) -> Result<Vec<SecretString>, ConfigError> {
    let fix = "set it to the endpoint's signing secret (whsec_…), several separated by commas";
    required(env, WEBHOOK, fix)?;
    let secrets = secret_list(env, WEBHOOK)?;
    if secrets.is_empty() {
        return Err(ConfigError::new(WEBHOOK, "is empty", fix));
    }
    for secret in &secrets {
        let problem = match secret.expose_secret().strip_prefix("whsec_") {
            None => "holds a value that does not begin with whsec_",
            Some("") => "holds an empty signing secret",
            Some(_) if is_placeholder(secret.expose_secret()) => "is a placeholder",
            Some(rest) if rest.len() < SHORTEST_SIGNING_SECRET => "holds a signing secret that is too short",
            Some(rest) if is_pattern(rest.as_bytes()) => "holds a signing secret anyone would guess",
            Some(_) => continue,
        };
        return Err(ConfigError::new(WEBHOOK, problem, fix));
    }
    Ok(secrets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{error_of, with};

    fn read(key: &str, base: &str) -> Result<StripeConfig, ConfigError> {
        StripeConfig::read(&with(&[(KEY, key), (BASE, base)]))
    }

    #[test]
    fn test_keys_go_to_stripe_or_to_the_simulator_and_live_keys_to_stripe_alone() {
        for key in ["sk_test_4eC39HqLyjWDarjtT1zdp7dc", "rk_test_abc", "sk_test_123"] {
            for base in [
                "",
                "http://127.0.0.1:12111",
                "http://localhost:1",
                "http://[::1]:12111/",
                "https://api.stripe.com",
            ] {
                assert!(!read(key, base).unwrap().live);
            }
        }
        for key in ["sk_live_51Hq", "rk_live_51Hq"] {
            for base in [
                "",
                "https://api.stripe.com",
                "https://api.stripe.com/",
                "https://api.stripe.com:443",
            ] {
                let config = read(key, base).unwrap();
                assert!(config.live);
                assert_eq!(config.api_base.as_str(), "https://api.stripe.com/");
            }
            for base in [
                "http://127.0.0.1:12111",
                "https://api.stripe.com.evil.example",
                "https://localhost",
                "https://api.stripe.com:8443",
            ] {
                assert_eq!(
                    error_of(read(key, base)),
                    "STRIPE_API_BASE: is not Stripe's while STRIPE_SECRET_KEY is a live key; remove it, or use a test key (sk_test_…)"
                );
            }
        }
    }

    #[test]
    fn what_is_no_secret_key_is_refused_and_not_printed() {
        for key in [
            "",
            "sk_test_your_stripe_secret_key_here",
            "pk_test_hunter2",
            "sk_hunter2",
            "sk_test_",
            "sk_test_hunter2 x",
            "hunter2",
        ] {
            let line = error_of(read(key, ""));
            assert!(
                line.starts_with("STRIPE_SECRET_KEY: ") && !line.contains("hunter2"),
                "{line}"
            );
        }
    }

    #[test]
    fn unsafe_base_urls_are_refused() {
        for base in [
            "http://api.stripe.com",
            "http://10.0.0.1:1",
            "ftp://127.0.0.1",
            "127.0.0.1:12111",
            "https://u:p@x.org",
            "https://x.org/v1",
            "https://x.org?a",
        ] {
            assert!(
                error_of(read("sk_test_123", base)).starts_with("STRIPE_API_BASE: "),
                "{base}"
            );
        }
    }

    #[test]
    fn several_signing_secrets_are_read_and_unsafe_ones_refused() {
        let read = |value: &str| webhook_secrets(&with(&[(WEBHOOK, value)]));
        assert_eq!(read("whsec_test_secret").unwrap().len(), 1);
        assert_eq!(read("whsec_9f2k5b7q1x8c, whsec_0a6d4h3w9z2m").unwrap().len(), 2);
        for value in [
            "",
            " ",
            ",",
            "whsec_",
            "whsec_abc",
            "hunter2hunter2",
            "whsec_9f2k5b7q1x8c,hunter2hunter2",
            "whsec_your_stripe_webhook_secret_here",
            "whsec_00000000000",
        ] {
            let line = error_of(read(value));
            assert!(
                line.starts_with("STRIPE_WEBHOOK_SECRET: ") && !line.contains("hunter2"),
                "{line}"
            );
            assert_eq!(line.lines().count(), 1);
        }
        assert!(error_of(webhook_secrets(&with(&[]))).starts_with("STRIPE_WEBHOOK_SECRET: is not set; "));
    }
}
