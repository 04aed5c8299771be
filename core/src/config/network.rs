//! The proxies between the API and its clients, and the clients' origins: `TRUSTED_PROXIES` and `CORS_ALLOWED_ORIGINS`.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use url::Url;

use super::env::{items, optional};
use super::{ConfigError, Env};

const TRUSTED_PROXIES: &str = "TRUSTED_PROXIES";
const ALLOWED_ORIGINS: &str = "CORS_ALLOWED_ORIGINS";

/// The origins whose pages may use the API from a browser; none by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedOrigins(Vec<String>);

impl AllowedOrigins {
    pub(super) fn read(env: &dyn Env) -> Result<Self, ConfigError> {
        const FIX: &str =
            "set it to origins, comma-separated, such as https://app.example.com,http://localhost:3000";
        let text = optional(env, ALLOWED_ORIGINS)?.unwrap_or_default();
        let origins = items(&text).map(|item| {
            let refused =
                |problem: &str| ConfigError::new(ALLOWED_ORIGINS, format!("{item:?} {problem}"), FIX);
            if item == "*" {
                return Err(refused("would allow every page"));
            }
            let url = Url::parse(item).map_err(|_| refused("is no origin"))?;
            if !matches!(url.scheme(), "http" | "https") {
                return Err(refused("is neither https nor http"));
            }
            // A browser leaves out the port if it is the default one, and writes the host in lower case.
            let origin = url.origin().ascii_serialization();
            if item.trim_end_matches('/').eq_ignore_ascii_case(&origin) {
                Ok(origin)
            } else {
                Err(refused(&format!("is more than an origin; {origin} would be one")))
            }
        });
        origins.collect::<Result<_, _>>().map(Self)
    }

    /// Returns whether pages of this origin, as a browser writes it in `Origin`, may use the API.
    #[must_use]
    pub fn contains(&self, origin: &str) -> bool {
        self.0.iter().any(|allowed| allowed == origin)
    }

    /// Iterates over the origins.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// The proxies whose `X-Forwarded-For` is trusted. Any other sender of that header could pretend to have any address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl FromStr for TrustedProxies {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        const FIX: &str = "set it to addresses or networks, comma-separated, such as 10.0.0.0/8,192.168.1.5";
        let networks = items(text).map(|item| {
            let network = item
                .parse::<IpNet>()
                .or_else(|_| item.parse::<IpAddr>().map(IpNet::from));
            match network {
                Ok(network) if network.prefix_len() == 0 => Err(ConfigError::new(
                    TRUSTED_PROXIES,
                    format!("{item:?} would believe everybody"),
                    FIX,
                )),
                Ok(network) => Ok(network.trunc()),
                Err(_) => Err(ConfigError::new(
                    TRUSTED_PROXIES,
                    format!("{item:?} is no address"),
                    FIX,
                )),
            }
        });
        networks.collect::<Result<_, _>>().map(Self)
    }
}

impl TrustedProxies {
    pub(super) fn read(env: &dyn Env) -> Result<Self, ConfigError> {
        optional(env, TRUSTED_PROXIES)?.unwrap_or_default().parse()
    }

    /// Returns whether the proxy at this address is trusted.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{error_of, with};

    fn read(value: &'static str) -> Result<TrustedProxies, ConfigError> {
        TrustedProxies::read(&with(&[(TRUSTED_PROXIES, value)]))
    }

    #[test]
    fn addresses_and_networks_are_believed_and_nobody_by_default() {
        let proxies = read("10.0.0.0/8, 192.168.1.5,fd00::/8").unwrap();
        for (address, believed) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("192.168.1.5", true),
            ("192.168.1.6", false),
            ("fd00::1", true),
            ("127.0.0.1", false),
        ] {
            assert_eq!(proxies.contains(address.parse().unwrap()), believed, "{address}");
        }
        assert!(!read("").unwrap().contains("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn origins_are_written_as_browsers_write_them_and_nonsense_is_refused() {
        let read = |value| AllowedOrigins::read(&with(&[(ALLOWED_ORIGINS, value)]));
        let origins = read("https://App.Example.com, http://localhost:3000,https://x.example/").unwrap();
        for (origin, allowed) in [
            ("https://app.example.com", true),
            ("http://localhost:3000", true),
            ("https://x.example", true),
            ("http://app.example.com", false),
            ("https://app.example.com.evil.example", false),
            ("null", false),
        ] {
            assert_eq!(origins.contains(origin), allowed, "{origin}");
        }
        assert_eq!(read("").unwrap(), AllowedOrigins::default());
        for value in [
            "*",
            "null",
            "app.example.com",
            "https://",
            "https://app.example.com/app",
            "https://user@app.example.com",
            "https://*.example.com:x",
            "ftp://app.example.com",
            "https://app.example.com?x",
        ] {
            let line = error_of(read(value));
            assert!(line.starts_with("CORS_ALLOWED_ORIGINS: "), "{line}");
        }
    }

    #[test]
    fn nonsense_and_everybody_are_refused() {
        for value in ["proxy.internal", "10.0.0.0/33", "0.0.0.0/0", "::/0"] {
            let line = error_of(read(value));
            assert!(line.starts_with("TRUSTED_PROXIES: "), "{line}");
        }
    }
}
