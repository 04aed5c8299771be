//! Deliveries of events, both as Stripe makes them and as it never would.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::system::PLATFORM_SECRET;

/// The hex signature of `body` at `time` under `secret`.
///
/// # Panics
/// Never: HMAC takes keys of every length.
#[must_use]
pub fn sign(secret: &str, time: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// The header of a delivery that is signed now with the platform's secret.
#[must_use]
pub fn header(body: &[u8]) -> String {
    let now = chrono::Utc::now().timestamp();
    format!("t={now},v1={}", sign(PLATFORM_SECRET, now, body))
}
