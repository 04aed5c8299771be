//! Checks the signature of a webhook over the raw bytes of its body (<https://docs.stripe.com/webhooks#verify-manually>).
//!
//! The check is our own, because the library's accepts an empty secret and then parses the event strictly, so that a signed event
//! would be lost to a field that the library does not know. Here only the header is parsed.

use std::fmt;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// The header that contains the time and the signatures.
pub const SIGNATURE_HEADER: &str = "stripe-signature";

/// The maximum difference between the time in the header and ours, in seconds, in both directions.
const TOLERANCE_SECONDS: u64 = 300;

/// The maximum length of the header, in bytes. Stripe's takes about 150, twice that while a secret is rolled.
const LONGEST_HEADER: usize = 1024;

/// The minimum length of a secret after its prefix; Stripe's have 32 characters.
const SHORTEST_SECRET: usize = 8;

/// The signing secret of one endpoint, `whsec_…`.
#[derive(Clone)]
pub struct WebhookSecret(SecretString);

/// A text that cannot be a signing secret. If an empty one were accepted, anyone could sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a webhook signing secret: it starts with whsec_ and has at least {SHORTEST_SECRET} characters more"
)]
pub struct InvalidWebhookSecret;

impl WebhookSecret {
    /// Wraps a secret as the dashboard shows it.
    ///
    /// # Errors
    /// If it is empty, lacks its prefix, is too short, or has characters other than those of base64, hyphens and underscores.
    pub fn new(secret: SecretString) -> Result<Self, InvalidWebhookSecret> {
        let rest = secret.expose_secret().strip_prefix("whsec_").unwrap_or_default();
        let plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'/' | b'=');
        if rest.len() >= SHORTEST_SECRET && rest.bytes().all(plain) {
            Ok(Self(secret))
        } else {
            Err(InvalidWebhookSecret)
        }
    }

    fn signs(&self, signed: &[&[u8]], signature: &[u8]) -> bool {
        // HMAC accepts keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.expose_secret().as_bytes()) else {
            return false;
        };
        for part in signed {
            mac.update(part);
        }
        mac.verify_slice(signature).is_ok()
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

/// Why a request is not accepted as one from Stripe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The header is missing or empty.
    #[error("no signature header")]
    Missing,
    /// The header is not `t=…,v1=…` with one time and at least one signature, or is longer than any of Stripe's.
    #[error("malformed signature header")]
    Malformed,
    /// No signature of the current scheme was made with one of our secrets over these bytes.
    #[error("signature does not match")]
    Mismatch,
    /// The signature is valid, but its time is too far in the past or the future: a replay, or a wrong clock.
    #[error("signature time is outside the tolerance")]
    OutsideTolerance,
}

/// The proof that a request comes from Stripe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// When Stripe signed it.
    pub signed_at: DateTime<Utc>,
    /// The index of the secret that signed it, in the order in which the secrets were given.
    pub secret: usize,
}

/// Checks signatures against every secret in use: those of the platform's and the Connect endpoint, two of each while they are rolled.
#[derive(Debug, Clone)]
pub struct Verifier {
    first: WebhookSecret,
    others: Vec<WebhookSecret>,
}

impl Verifier {
    /// Creates a verifier that has at least one secret.
    #[must_use]
    pub const fn new(first: WebhookSecret, others: Vec<WebhookSecret>) -> Self {
        Self { first, others }
    }

    /// Checks the header's signature over the raw body.
    ///
    /// The time is checked after the signature, so that our clock is not revealed to a sender without a secret.
    ///
    /// # Errors
    /// If the request is not proven to come from Stripe now.
    pub fn verify(
        &self,
        header: Option<&[u8]>,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Verified, SignatureError> {
        let header = header
            .filter(|header| !header.is_empty())
            .ok_or(SignatureError::Missing)?;
        let header = Header::parse(header).ok_or(SignatureError::Malformed)?;
        let signed: [&[u8]; 3] = [header.time_text.as_bytes(), b".", body];
        let secret = std::iter::once(&self.first)
            .chain(&self.others)
            .position(|secret| {
                header
                    .signatures
                    .iter()
                    .any(|signature| secret.signs(&signed, signature))
            })
            .ok_or(SignatureError::Mismatch)?;
        if now.timestamp().abs_diff(header.time.timestamp()) > TOLERANCE_SECONDS {
            return Err(SignatureError::OutsideTolerance);
        }
        Ok(Verified {
            signed_at: header.time,
            secret,
        })
    }
}

struct Header<'a> {
    time: DateTime<Utc>,
    time_text: &'a str,
    signatures: Vec<[u8; 32]>,
}

impl<'a> Header<'a> {
    fn parse(header: &'a [u8]) -> Option<Self> {
        if header.len() > LONGEST_HEADER {
            return None;
        }
        let mut time_text = None;
        let mut signatures = Vec::new();
        for item in std::str::from_utf8(header).ok()?.split(',') {
            match item.split_once('=')? {
                // With two times it would be unclear which one was signed.
                ("t", text) if time_text.replace(text).is_some() => return None,
                ("v1", text) => {
                    let mut signature = [0; 32];
                    // An invalid signature proves nothing, but another one may be valid.
                    if hex::decode_to_slice(text, &mut signature).is_ok() {
                        signatures.push(signature);
                    }
                }
                // Other schemes, such as the v0 of test events, prove nothing.
                _ => {}
            }
        }
        let time_text =
            time_text.filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))?;
        let time = DateTime::from_timestamp(time_text.parse().ok()?, 0)?;
        (!signatures.is_empty()).then_some(Self {
            time,
            time_text,
            signatures,
        })
    }
}

#[cfg(test)]
mod tests;
