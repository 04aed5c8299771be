//! Checks whether a key can verify signatures at all. The library loads keys that it then refuses for every token: another curve, or an
//! RSA key that is too short. With such a key the API would look healthy and refuse every caller.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use simple_asn1::ASN1Block;

/// The accepted sizes of RSA keys, in bits (RFC 7518, section 3.3: 2048 bits or larger).
const RSA_BITS: std::ops::RangeInclusive<u64> = 2_048..=8_192;

/// The reason why a key is unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The kind of key, or its curve, belongs to no supported algorithm.
    #[error("is of another kind or curve than RS256, ES256 (P-256) and EdDSA (Ed25519) need")]
    OtherKind,
    /// The key is marked for a purpose other than verifying signatures.
    #[error("is not for verifying signatures")]
    OtherUse,
    /// The key is marked for another algorithm.
    #[error("is for another algorithm")]
    OtherAlgorithm,
    /// An RSA key that is too short or too long.
    #[error("is an RSA key of {0} bits")]
    RsaBits(u64),
    /// The data is not a valid key.
    #[error("is malformed")]
    Malformed,
}

/// Checks that a key can verify signatures of this algorithm.
///
/// # Errors
/// If it cannot.
pub(super) fn check(algorithm: Algorithm, key: &DecodingKey) -> Result<(), Unusable> {
    match (algorithm, key.kind()) {
        (Algorithm::ES256, DecodingKeyKind::SecretOrDer(point)) => {
            // An uncompressed point of P-256 has 65 bytes (SEC 1, section 2.3.3); points of other curves are longer.
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

/// Returns the size in bits of the modulus of an `RSAPublicKey` (RFC 8017, appendix A.1.1).
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
