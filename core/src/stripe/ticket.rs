//! The right to send a creating call: its key, and the time until which it may be sent.

use std::time::Duration;

use tokio::time::Instant;

use crate::ids::stripe::CallKey;

/// The right to send one creating call under its key, until a deadline.
///
/// A claim on a job lasts for one lease. After that another worker may take the job over, find that the call has made nothing, and send
/// another one. A worker that was paused in between must not send its own call when it resumes, so the end of its claim travels with the key
/// and is checked until just before the bytes leave.
#[derive(Debug, Clone)]
pub struct Ticket {
    key: CallKey,
    until: Instant,
}

impl Ticket {
    /// Creates a ticket for this key that ends at `until`.
    #[must_use]
    pub const fn new(key: CallKey, until: Instant) -> Self {
        Self { key, until }
    }

    /// Creates a ticket for this key that ends after `time`.
    #[must_use]
    pub fn lasting(key: CallKey, time: Duration) -> Self {
        let now = Instant::now();
        Self::new(key, now.checked_add(time).unwrap_or(now))
    }

    /// Returns the key under which the call is sent.
    #[must_use]
    pub const fn key(&self) -> &CallKey {
        &self.key
    }

    /// Returns whether the time has passed, so that the call may not be sent. It uses the machine's monotonic clock, which cannot be set and
    /// which keeps running while the process is stopped.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.until <= Instant::now()
    }
}
