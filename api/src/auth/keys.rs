//! The keys that tokens are checked with: each for exactly one algorithm.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use secrecy::ExposeSecret;
use wallet_core::config::{JwtConfig, JwtKey};

/// Why a configured key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not an RSA, P-256 or Ed25519 public key.
    #[error("JWT_PUBLIC_KEY is no public key for RS256, ES256 or EdDSA")]
    Pem(#[source] jsonwebtoken::errors::Error),
    /// Not a JWK set.
    #[error("JWT_JWKS is not understood")]
    Set(#[source] serde_json::Error),
    /// A set without a usable key.
    #[error("JWT_JWKS holds no key for RS256, ES256 or EdDSA")]
    NoUsableKey,
}

/// A key and the one algorithm it is for, which keeps a public key from being taken for an HS256 secret.
struct Key {
    algorithm: Algorithm,
    /// Its name in a set; a key that stands alone has none and answers to any.
    kid: Option<String>,
    /// Whether it came from a set, where names count.
    from_set: bool,
    key: DecodingKey,
}

/// Every key in use.
pub(crate) struct KeyRing(Vec<Key>);

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|key| (key.algorithm, &key.kid)))
            .finish()
    }
}

impl KeyRing {
    /// The keys of a configuration.
    ///
    /// # Errors
    /// When one cannot be used.
    pub(crate) fn new(config: &JwtConfig) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        for key in &config.keys {
            match key {
                JwtKey::Hs256(secret) => {
                    let key = DecodingKey::from_secret(secret.expose_secret().as_bytes());
                    keys.push(Key {
                        algorithm: Algorithm::HS256,
                        kid: None,
                        from_set: false,
                        key,
                    });
                }
                JwtKey::Pem(text) => keys.push(pem(text)?),
                JwtKey::Jwks(text) => keys.extend(set(text)?),
            }
        }
        Ok(Self(keys))
    }

    /// The keys that may have signed a token with this header. A token that names a key is checked with that one only, if names
    /// are known; one that names none, only where there is no choice.
    pub(crate) fn candidates<'a>(
        &'a self,
        algorithm: Algorithm,
        kid: Option<&'a str>,
    ) -> impl Iterator<Item = &'a DecodingKey> {
        let of_algorithm = move |key: &&Key| key.algorithm == algorithm;
        let in_sets = self
            .0
            .iter()
            .filter(of_algorithm)
            .filter(|key| key.from_set)
            .count();
        self.0
            .iter()
            .filter(of_algorithm)
            .filter(move |key| match (key.from_set, kid) {
                (false, _) => true,
                (true, Some(kid)) => key.kid.as_deref() == Some(kid),
                (true, None) => in_sets == 1,
            })
            .map(|key| &key.key)
    }
}

fn pem(text: &str) -> Result<Key, KeyError> {
    let bytes = text.as_bytes();
    let alone = |algorithm, key| Key {
        algorithm,
        kid: None,
        from_set: false,
        key,
    };
    if let Ok(key) = DecodingKey::from_ec_pem(bytes) {
        return Ok(alone(Algorithm::ES256, key));
    }
    if let Ok(key) = DecodingKey::from_ed_pem(bytes) {
        return Ok(alone(Algorithm::EdDSA, key));
    }
    DecodingKey::from_rsa_pem(bytes)
        .map(|key| alone(Algorithm::RS256, key))
        .map_err(KeyError::Pem)
}

fn set(text: &str) -> Result<Vec<Key>, KeyError> {
    let set: JwkSet = serde_json::from_str(text).map_err(KeyError::Set)?;
    let keys: Vec<Key> = set.keys.iter().filter_map(of_set).collect();
    if keys.is_empty() {
        Err(KeyError::NoUsableKey)
    } else {
        Ok(keys)
    }
}

/// A key of a set, or none if it is for something else than our signatures.
fn of_set(jwk: &Jwk) -> Option<Key> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        _ => return None,
    };
    let named = jwk.common.key_algorithm.map(|named| named.to_string());
    let for_signatures = jwk
        .common
        .public_key_use
        .as_ref()
        .is_none_or(|used| *used == PublicKeyUse::Signature);
    if !for_signatures || named.is_some_and(|named| named != format!("{algorithm:?}")) {
        return None;
    }
    let key = DecodingKey::from_jwk(jwk).ok()?;
    Some(Key {
        algorithm,
        kid: jwk.common.key_id.clone(),
        from_set: true,
        key,
    })
}
