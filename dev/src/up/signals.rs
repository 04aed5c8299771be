//! The signals that request a program to stop: Ctrl-C, `kill`, and a closed terminal.

use anyhow::Result;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Receives these signals; once it is created they no longer end the program by themselves.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Catches the signals.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn catch() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
