//! The keys with which tokens are verified, each for exactly one algorithm.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::Value;
use wallet_core::config::{JwtConfig, JwtKey};

use super::strength::{self, Unusable};

/// The reason why a configured key cannot be used. The message names the variable, the problem and the fix.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The text is not a public key of a supported kind.
    #[error("JWT_PUBLIC_KEY: is no public key for RS256, ES256 or EdDSA; {FIX}")]
    Pem(#[source] jsonwebtoken::errors::Error),
    /// The key could never verify a signature.
    #[error("JWT_PUBLIC_KEY: {0}; {FIX}")]
    Unusable(Unusable),
    /// The text is not a JWK set.
    #[error("JWT_JWKS: is not understood; set it to a JWK set of public keys ({{\"keys\":[…]}})")]
    Set(#[source] serde_json::Error),
    /// The set holds no usable key.
    #[error("JWT_JWKS: holds no key for RS256, ES256 or EdDSA ({0}); add one to the set")]
    NoUsableKey(String),
}

const FIX: &str = "set it to an RSA key of 2048 to 8192 bits, a P-256 key or an Ed25519 key";

/// A key with the one algorithm it is for, so that a public key cannot be used as an HS256 secret.
struct Key {
    algorithm: Algorithm,
    /// Its `kid` in a set. A key that was configured alone has none and matches every `kid`.
    kid: Option<String>,
    /// Whether it came from a set, where the `kid` decides.
    from_set: bool,
    key: DecodingKey,
}

/// All keys in use.
pub(crate) struct KeyRing(Vec<Key>);

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|key| (key.algorithm, &key.kid)))
            .finish()
    }
}

impl KeyRing {
    /// Creates the key ring of a configuration.
    ///
    /// # Errors
    /// If a key cannot be used.
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

    /// Returns the keys that may have signed a token with this header. Of the keys from sets, those with the token's `kid`
    /// qualify; if the token has no `kid`, a key qualifies only if it is the only one of its algorithm.
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
    let (algorithm, key) = if let Ok(key) = DecodingKey::from_ec_pem(bytes) {
        (Algorithm::ES256, key)
    } else if let Ok(key) = DecodingKey::from_ed_pem(bytes) {
        (Algorithm::EdDSA, key)
    } else {
        (
            Algorithm::RS256,
            DecodingKey::from_rsa_pem(bytes).map_err(KeyError::Pem)?,
        )
    };
    strength::check(algorithm, &key).map_err(KeyError::Unusable)?;
    Ok(Key {
        algorithm,
        kid: None,
        from_set: false,
        key,
    })
}

/// Returns the usable keys of a set. Sets also hold keys for other purposes, so an unusable key is skipped with a warning.
fn set(text: &str) -> Result<Vec<Key>, KeyError> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let set: Set = serde_json::from_str(text).map_err(KeyError::Set)?;
    let mut keys = Vec::new();
    let mut passed_over = Vec::new();
    for entry in &set.keys {
        // A malformed key does not make the others unusable (RFC 7517, section 5).
        let read = Jwk::deserialize(entry).map_err(|_| Unusable::Malformed);
        match read.and_then(|jwk| of_set(&jwk)) {
            Ok(key) => keys.push(key),
            Err(why) => {
                let kid = entry["kid"].as_str().unwrap_or("a key without kid");
                tracing::warn!(kid, %why, "a key of JWT_JWKS is not used");
                passed_over.push(format!("{kid}: {why}"));
            }
        }
    }
    if keys.is_empty() {
        passed_over.truncate(3);
        Err(KeyError::NoUsableKey(passed_over.join(", ")))
    } else {
        Ok(keys)
    }
}

/// Returns the key of a set's entry, if it is meant for verifying signatures of a supported algorithm.
fn of_set(jwk: &Jwk) -> Result<Key, Unusable> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        _ => return Err(Unusable::OtherKind),
    };
    let common = &jwk.common;
    let is_for_signatures = common
        .public_key_use
        .as_ref()
        .is_none_or(|used| *used == PublicKeyUse::Signature)
        && common
            .key_operations
            .as_ref()
            .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    if !is_for_signatures {
        return Err(Unusable::OtherUse);
    }
    let named = common.key_algorithm.map(|named| named.to_string());
    if named.is_some_and(|named| named != format!("{algorithm:?}")) {
        return Err(Unusable::OtherAlgorithm);
    }
    let key = DecodingKey::from_jwk(jwk).map_err(|_| Unusable::Malformed)?;
    strength::check(algorithm, &key)?;
    Ok(Key {
        algorithm,
        kid: common.key_id.clone(),
        from_set: true,
        key,
    })
}
