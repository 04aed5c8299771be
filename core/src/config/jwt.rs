//! `JWT_SECRET`, `JWT_PUBLIC_KEY`, `JWT_JWKS`, `JWT_ISSUER` and `JWT_AUDIENCE`.

use std::path::Path;

use secrecy::SecretString;

use super::env::optional;
use super::{ConfigError, Env};
use crate::crypto::weakness::{is_pattern, is_placeholder};

const SECRET: &str = "JWT_SECRET";
const PUBLIC_KEY: &str = "JWT_PUBLIC_KEY";
const JWKS: &str = "JWT_JWKS";

/// The minimum length of an HS256 secret in bytes: the size of the hash (RFC 7518, section 3.2).
const SHORTEST_SECRET: usize = 32;

/// A key that verifies tokens. Its kind fixes the algorithms: a secret is for HS256 only, and no other key is.
#[derive(Debug, Clone)]
pub enum JwtKey {
    /// A shared secret, for HS256.
    Hs256(SecretString),
    /// The text of a PEM public key or certificate, for RS256, ES256 or EdDSA.
    Pem(String),
    /// The text of a JWK set of public keys.
    Jwks(String),
}

/// The keys and claims by which the API accepts tokens.
#[derive(Debug, Clone)]
pub struct JwtConfig {
    /// The keys, at least one. While an operator moves from one kind of key to another, both are configured.
    pub keys: Vec<JwtKey>,
    /// `JWT_ISSUER`: when set, `iss` must be equal.
    pub issuer: Option<String>,
    /// `JWT_AUDIENCE`: when set, `aud` must contain it.
    pub audience: Option<String>,
    /// The files that the texts of the keys came from, if any; they may be replaced while the program runs.
    pub files: JwtFiles,
}

/// The files that the variables name, where they do not hold the text itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JwtFiles {
    pem: Option<String>,
    jwks: Option<String>,
}

impl JwtConfig {
    /// Reads the five variables, and the files that they name.
    ///
    /// # Errors
    /// When no key is given, or one is unsafe, a private key, or a file that cannot be read.
    pub fn read(env: &dyn Env) -> Result<Self, ConfigError> {
        let mut keys = Vec::new();
        if let Some(secret) = secret(env)? {
            keys.push(JwtKey::Hs256(secret));
        }
        let mut files = JwtFiles::default();
        if let Some(value) = optional(env, PUBLIC_KEY)? {
            files.pem = is_pem_file(&value).then(|| value.clone());
            keys.push(JwtKey::Pem(pem(value)?));
        }
        if let Some(value) = optional(env, JWKS)? {
            files.jwks = is_jwks_file(&value).then(|| value.clone());
            keys.push(JwtKey::Jwks(jwks(value)?));
        }
        if keys.is_empty() {
            let problem = if env.get(SECRET).is_some() {
                "is empty"
            } else {
                "is not set"
            };
            let fix = "set it to at least 32 random bytes (`openssl rand -base64 48`), or set JWT_PUBLIC_KEY or JWT_JWKS";
            return Err(ConfigError::new(SECRET, problem, fix));
        }
        Ok(Self {
            keys,
            issuer: optional(env, "JWT_ISSUER")?,
            audience: optional(env, "JWT_AUDIENCE")?,
            files,
        })
    }

    /// Returns the configuration with the current contents of its files, or `None` if they have not changed.
    ///
    /// # Errors
    /// When a file cannot be read, or has contents with which the program would not start.
    pub fn read_again(&self) -> Result<Option<Self>, ConfigError> {
        let mut again = self.clone();
        let mut has_changed = false;
        for key in &mut again.keys {
            let (text, now) = match key {
                JwtKey::Pem(text) => (text, self.files.pem.clone().map(pem)),
                JwtKey::Jwks(text) => (text, self.files.jwks.clone().map(jwks)),
                JwtKey::Hs256(_) => continue,
            };
            if let Some(now) = now.transpose()?
                && *text != now
            {
                *text = now;
                has_changed = true;
            }
        }
        Ok(has_changed.then_some(again))
    }
}

fn is_pem_file(value: &str) -> bool {
    !value.starts_with("-----BEGIN")
}

fn is_jwks_file(value: &str) -> bool {
    !value.starts_with('{')
}

fn secret(env: &dyn Env) -> Result<Option<SecretString>, ConfigError> {
    let fix = "make one with `openssl rand -base64 48`";
    let Some(value) = optional(env, SECRET)? else {
        return Ok(None);
    };
    let problem = if is_placeholder(&value) {
        "is a placeholder"
    } else if value.len() < SHORTEST_SECRET {
        "is shorter than 32 bytes"
    } else if is_pattern(value.as_bytes()) {
        "follows a pattern anyone would guess"
    } else {
        return Ok(Some(SecretString::from(value)));
    };
    Err(ConfigError::new(SECRET, problem, fix))
}

fn pem(value: String) -> Result<String, ConfigError> {
    let fix = "set it to a PEM public key (RS256, ES256 or EdDSA), or to the path of one";
    // Line breaks are often written as \n where a variable can hold only one line.
    let text = if is_pem_file(&value) {
        file(PUBLIC_KEY, &value)?
    } else {
        value.replace("\\n", "\n")
    };
    if text.contains("PRIVATE KEY-----") {
        return Err(ConfigError::new(PUBLIC_KEY, "holds a private key", fix));
    }
    if !text.contains("-----BEGIN") {
        return Err(ConfigError::new(PUBLIC_KEY, "is not PEM", fix));
    }
    Ok(text)
}

fn jwks(value: String) -> Result<String, ConfigError> {
    let fix = "set it to a JWK set of public keys ({\"keys\":[…]}), or to the path of one";
    let text = if is_jwks_file(&value) {
        file(JWKS, &value)?
    } else {
        value
    };
    let set: serde_json::Value =
        serde_json::from_str(&text).map_err(|_| ConfigError::new(JWKS, "is not JSON", fix))?;
    let keys = set
        .get("keys")
        .and_then(serde_json::Value::as_array)
        .filter(|keys| !keys.is_empty());
    let keys = keys.ok_or_else(|| ConfigError::new(JWKS, "holds no keys", fix))?;
    let is_symmetric =
        |key: &serde_json::Value| key.get("kty").and_then(serde_json::Value::as_str) == Some("oct");
    if keys.iter().any(|key| key.get("d").is_some() || is_symmetric(key)) {
        return Err(ConfigError::new(JWKS, "holds a private or symmetric key", fix));
    }
    Ok(text)
}

fn file(name: &'static str, path: &str) -> Result<String, ConfigError> {
    std::fs::read_to_string(Path::new(path))
        .map(|text| text.trim().to_owned())
        .map_err(|error| {
            ConfigError::new(
                name,
                format!(
                    "is neither the text itself nor a file that can be read ({})",
                    error.kind()
                ),
                "name a readable file",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{JWT, error_of, with};

    const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----";
    const SET: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg","kid":"1"}]}"#;

    fn read(values: &[(&str, &str)]) -> Result<JwtConfig, ConfigError> {
        JwtConfig::read(&with(values))
    }

    #[test]
    fn each_kind_of_key_is_read() {
        let one = read(&[(SECRET, JWT), ("JWT_ISSUER", "me"), ("JWT_AUDIENCE", "")]).unwrap();
        assert!(matches!(one.keys[..], [JwtKey::Hs256(_)]));
        assert_eq!((one.issuer.as_deref(), one.audience), (Some("me"), None));
        assert!(matches!(&read(&[(PUBLIC_KEY, PEM)]).unwrap().keys[..], [JwtKey::Pem(text)] if text == PEM));
        let one_line = PEM.replace('\n', "\\n");
        assert!(
            matches!(&read(&[(PUBLIC_KEY, &one_line)]).unwrap().keys[..], [JwtKey::Pem(text)] if text == PEM)
        );
        assert!(matches!(
            read(&[(JWKS, SET)]).unwrap().keys[..],
            [JwtKey::Jwks(_)]
        ));
        assert_eq!(read(&[(SECRET, JWT), (JWKS, SET)]).unwrap().keys.len(), 2);
    }

    #[test]
    fn a_key_may_be_a_file() {
        let path = std::env::temp_dir().join(format!("wallet-config-{}.pem", std::process::id()));
        std::fs::write(&path, format!("{PEM}\n")).unwrap();
        let config = read(&[(PUBLIC_KEY, path.to_str().unwrap())]);
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(&config.unwrap().keys[..], [JwtKey::Pem(text)] if text == PEM));
        let line = error_of(read(&[(JWKS, "/no/such/file")]));
        assert!(
            line.starts_with("JWT_JWKS: is neither the text itself nor a file"),
            "{line}"
        );
    }

    #[test]
    fn a_file_is_read_again_and_what_stands_in_a_variable_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwks.json");
        std::fs::write(&path, SET).unwrap();
        let config = read(&[(SECRET, JWT), (PUBLIC_KEY, PEM), (JWKS, path.to_str().unwrap())]).unwrap();
        assert!(config.read_again().unwrap().is_none(), "nothing has changed");
        std::fs::write(&path, SET.replace("\"1\"", "\"2\"")).unwrap();
        let again = config.read_again().unwrap().unwrap();
        assert!(matches!(&again.keys[2], JwtKey::Jwks(text) if text.contains("\"kid\":\"2\"")));
        assert!(again.read_again().unwrap().is_none());
        for broken in ["", "{", r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#] {
            std::fs::write(&path, broken).unwrap();
            assert!(config.read_again().is_err(), "{broken}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(config.read_again().is_err());
        assert!(read(&[(JWKS, SET)]).unwrap().read_again().unwrap().is_none());
    }

    #[test]
    fn unsafe_keys_are_refused_and_not_printed() {
        for secret in [
            "hunter2",
            "your_jwt_secret_of_at_least_32_bytes_here",
            &"hunter2".repeat(8),
            "changeme-changeme-changeme-changeme",
        ] {
            let line = error_of(read(&[(SECRET, secret)]));
            assert!(
                line.starts_with("JWT_SECRET: ") && !line.contains(secret),
                "{line}"
            );
        }
        for (values, start) in [
            (&[][..], "JWT_SECRET: is not set; "),
            (&[(SECRET, "")], "JWT_SECRET: is empty; "),
            (
                &[(
                    PUBLIC_KEY,
                    "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----",
                )],
                "JWT_PUBLIC_KEY: holds a private key; ",
            ),
            (&[(JWKS, "{}")], "JWT_JWKS: holds no keys; "),
            (&[(JWKS, "{")], "JWT_JWKS: is not JSON; "),
            (
                &[(JWKS, r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#)],
                "JWT_JWKS: holds a private or symmetric key; ",
            ),
            (
                &[(JWKS, r#"{"keys":[{"kty":"EC","d":"x"}]}"#)],
                "JWT_JWKS: holds a private or symmetric key; ",
            ),
        ] {
            let line = error_of(read(values));
            assert!(line.starts_with(start), "{line}");
        }
    }
}
