//! The right to send a creating call: its key, and until when it may be sent.

use std::time::Duration;

use tokio::time::Instant;

use crate::ids::stripe::IdempotencyKey;

/// What a creating call is sent with.
///
/// A claim on a job lasts for a lease; then another worker may take the job over, find that nothing came of the call, and send another. A
/// worker that was stopped in between must not send its own when it wakes up, so the end of its claim travels with the key to
/// the last moment before the socket.
#[derive(Debug, Clone)]
pub struct Ticket {
    key: IdempotencyKey,
    until: Instant,
}

impl Ticket {
    /// A ticket for this key that ends at `until`.
    #[must_use]
    pub const fn new(key: IdempotencyKey, until: Instant) -> Self {
        Self { key, until }
    }

    /// A ticket for this key that ends after `time`.
    #[must_use]
    pub fn lasting(key: IdempotencyKey, time: Duration) -> Self {
        let now = Instant::now();
        Self::new(key, now.checked_add(time).unwrap_or(now))
    }

    /// The key that the call is sent under.
    #[must_use]
    pub const fn key(&self) -> &IdempotencyKey {
        &self.key
    }

    /// Whether it may not be sent any more. It goes by the machine's monotonic clock, which nobody sets, and which goes on while the process is
    /// stopped.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.until <= Instant::now()
    }
}
