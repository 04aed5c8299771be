//! Whether a key can verify anything at all. The library takes keys that it refuses at every token later: another curve, an RSA key that
//! is too short. An API with such a key would be healthy and refuse everybody.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use simple_asn1::ASN1Block;

/// The sizes of RSA keys with which signatures are verified (RFC 7518, section 3.3: 2048 bits or larger).
const RSA_BITS: std::ops::RangeInclusive<u64> = 2_048..=8_192;

/// Why a key verifies nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// A kind of key, or a curve, that no token of ours is signed with.
    #[error("is of another kind or curve than RS256, ES256 (P-256) and EdDSA (Ed25519) need")]
    OtherKind,
    /// Marked for something else than verifying signatures.
    #[error("is not for verifying signatures")]
    OtherUse,
    /// Marked for another algorithm.
    #[error("is for another algorithm")]
    OtherAlgorithm,
    /// An RSA key that is too short or too long.
    #[error("is an RSA key of {0} bits")]
    RsaBits(u64),
    /// Not the numbers of a key.
    #[error("is malformed")]
    Malformed,
}

/// Checks that signatures of this algorithm can be verified with a key.
///
/// # Errors
/// When they cannot.
pub(super) fn check(algorithm: Algorithm, key: &DecodingKey) -> Result<(), Unusable> {
    match (algorithm, key.kind()) {
        (Algorithm::ES256, DecodingKeyKind::SecretOrDer(point)) => {
            // An uncompressed point of P-256 (SEC 1, section 2.3.3); those of other curves are longer.
            if point.len() != 65 {
                return Err(Unusable::OtherKind);
            }
            parses(&ECDSA_P256_SHA256_FIXED, point)
        }
        (Algorithm::EdDSA, DecodingKeyKind::SecretOrDer(bytes)) => parses(&ED25519, bytes),
        (Algorithm::RS256, DecodingKeyKind::SecretOrDer(der)) => {
            parses(&RSA_PKCS1_2048_8192_SHA256, der)?;
            rsa(modulus_bits(der).ok_or(Unusable::Malformed)?)
        }
        (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
            if e.iter().all(|byte| *byte == 0) {
                return Err(Unusable::Malformed);
            }
            rsa(bits(n))
        }
        _ => Err(Unusable::OtherKind),
    }
}

fn parses(algorithm: &'static dyn VerificationAlgorithm, bytes: &[u8]) -> Result<(), Unusable> {
    ParsedPublicKey::new(algorithm, bytes)
        .map(drop)
        .map_err(|_| Unusable::Malformed)
}

fn rsa(bits: u64) -> Result<(), Unusable> {
    if RSA_BITS.contains(&bits) {
        Ok(())
    } else {
        Err(Unusable::RsaBits(bits))
    }
}

/// The size of the modulus of an `RSAPublicKey` (RFC 8017, appendix A.1.1).
fn modulus_bits(der: &[u8]) -> Option<u64> {
    let blocks = simple_asn1::from_der(der).ok()?;
    let Some(ASN1Block::Sequence(_, numbers)) = blocks.first() else {
        return None;
    };
    match numbers.first() {
        Some(ASN1Block::Integer(_, modulus)) => Some(modulus.bits()),
        _ => None,
    }
}

fn bits(number: &[u8]) -> u64 {
    let mut rest = number.iter().skip_while(|byte| **byte == 0);
    let Some(first) = rest.next() else { return 0 };
    let whole = u64::try_from(rest.count()).unwrap_or(u64::MAX).saturating_mul(8);
    whole.saturating_add(u64::from(u8::BITS - first.leading_zeros()))
}
