//! The signature of a webhook, checked over the bytes as they came (<https://docs.stripe.com/webhooks#verify-manually>).
//!
//! The check is our own because the library's accepts an empty secret and then parses the event strictly, which would lose a
//! signed event to a field it does not know. Here nothing is parsed but the header.

use std::fmt;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// The header that carries the time and the signatures.
pub const SIGNATURE_HEADER: &str = "stripe-signature";

/// How far the time in the header may be from ours, in seconds, both ways.
const TOLERANCE_SECONDS: u64 = 300;

/// Stripe's header takes some 150 bytes, twice that while a secret is rolled.
const LONGEST_HEADER: usize = 1024;

/// The least a secret has after its prefix; Stripe's have 32 characters.
const SHORTEST_SECRET: usize = 8;

/// The signing secret of one endpoint, `whsec_…`.
#[derive(Clone)]
pub struct WebhookSecret(SecretString);

/// A text that cannot be a signing secret. Accepting an empty one would let anybody sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a webhook signing secret: it starts with whsec_ and has at least {SHORTEST_SECRET} characters more"
)]
pub struct InvalidWebhookSecret;

impl WebhookSecret {
    /// Takes a secret as the dashboard shows it.
    ///
    /// # Errors
    /// When it is empty, lacks its prefix, is too short or has other characters than those of base64 and underscores.
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
        // HMAC takes keys of every length.
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

/// Why a request is not believed to come from Stripe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No header, or an empty one.
    #[error("no signature header")]
    Missing,
    /// Not `t=…,v1=…` with exactly one time and at least one signature, or longer than any that Stripe sends.
    #[error("malformed signature header")]
    Malformed,
    /// No signature of the current scheme was made with one of our secrets over these bytes.
    #[error("signature does not match")]
    Mismatch,
    /// Rightly signed, but too long ago or in the future: a replay, or a clock that is off.
    #[error("signature time is outside the tolerance")]
    OutsideTolerance,
}

/// A request that comes from Stripe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// When Stripe signed it.
    pub signed_at: DateTime<Utc>,
    /// Which of the secrets signed it, in the order given.
    pub secret: usize,
}

/// Checks signatures against every secret in use: the platform's endpoint, the Connect endpoint, and two of each while rolling.
#[derive(Debug, Clone)]
pub struct Verifier {
    first: WebhookSecret,
    others: Vec<WebhookSecret>,
}

impl Verifier {
    /// A verifier of at least one secret.
    #[must_use]
    pub const fn new(first: WebhookSecret, others: Vec<WebhookSecret>) -> Self {
        Self { first, others }
    }

    /// Checks the header's signature over the raw body.
    ///
    /// The time is judged after the signature, so that nobody learns about our clock without a secret.
    ///
    /// # Errors
    /// When the request is not proven to come from Stripe, now.
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
                // Two times would leave open which one was signed.
                ("t", text) if time_text.replace(text).is_some() => return None,
                ("v1", text) => {
                    let mut signature = [0; 32];
                    // One that is none proves nothing, and another may.
                    if hex::decode_to_slice(text, &mut signature).is_ok() {
                        signatures.push(signature);
                    }
                }
                // Other schemes, such as v0 of test events, prove nothing.
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
