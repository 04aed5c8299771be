//! The keys that tokens are checked with: each for exactly one algorithm.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::Value;
use wallet_core::config::{JwtConfig, JwtKey};

use super::strength::{self, Unusable};

/// Why a configured key cannot be used: the variable, the problem, the mend.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not a public key of a kind that tokens are signed for.
    #[error("JWT_PUBLIC_KEY: is no public key for RS256, ES256 or EdDSA; {MEND}")]
    Pem(#[source] jsonwebtoken::errors::Error),
    /// A key that no signature could ever be verified with.
    #[error("JWT_PUBLIC_KEY: {0}; {MEND}")]
    Unusable(Unusable),
    /// Not a JWK set.
    #[error("JWT_JWKS: is not understood; set it to a JWK set of public keys ({{\"keys\":[…]}})")]
    Set(#[source] serde_json::Error),
    /// A set without a usable key.
    #[error("JWT_JWKS: holds no key for RS256, ES256 or EdDSA ({0}); add one to the set")]
    NoUsableKey(String),
}

const MEND: &str = "set it to an RSA key of 2048 to 8192 bits, a P-256 key or an Ed25519 key";

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

/// The usable keys of a set. Sets also hold keys for other purposes, so one that is not for us is passed over, with a warning.
fn set(text: &str) -> Result<Vec<Key>, KeyError> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let set: Set = serde_json::from_str(text).map_err(KeyError::Set)?;
    let mut keys = Vec::new();
    let mut passed_over = Vec::new();
    for entry in &set.keys {
        // One that is malformed takes none of the others with it (RFC 7517, section 5).
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

/// A key of a set, if it is for our signatures.
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
