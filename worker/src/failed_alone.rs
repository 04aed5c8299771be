//! Counts the failed calls to Stripe, by queue.

use std::sync::atomic::{AtomicU32, Ordering};

use wallet_core::jobs::QueueName;

/// The queues whose jobs call Stripe.
pub(crate) const CALLING: [QueueName; 4] = [
    QueueName::Deposits,
    QueueName::Withdrawals,
    QueueName::Webhooks,
    QueueName::Maintenance,
];

/// The number of jobs whose call failed, by queue, since this process began; a refusal about one account or kind, or a lack of funds, does not count.
#[derive(Debug, Default)]
pub(crate) struct FailedAlone([AtomicU32; CALLING.len()]);

impl FailedAlone {
    /// Counts one more job whose end is written.
    pub(crate) fn count(&self, queue: QueueName) {
        for (of, count) in CALLING.iter().zip(&self.0) {
            if *of == queue {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn read(&self) -> [u32; CALLING.len()] {
        self.0.each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}
