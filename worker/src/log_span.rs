//! The fields of every log line about a job.

use tracing::Span;
use wallet_core::ids::TransactionId;
use wallet_core::jobs::{ClaimedJob, JobKind};

/// The field of every line about a transaction, here and in the API: it lets a transaction be followed through all programs.
const TRANSACTION: &str = "transaction_id";

/// Returns a span with the job's number, its kind and the transaction that it is about.
pub(crate) fn of(job: &ClaimedJob) -> Span {
    let kind = job.kind.map_or("unknown", JobKind::as_str);
    // At the highest level, so that no filter removes the ids from the lines that it lets through.
    let span =
        tracing::error_span!("job", job = %job.claim.job, kind, transaction_id = tracing::field::Empty);
    if let Some(transaction) = job.transaction {
        span.record(TRANSACTION, tracing::field::display(transaction));
    }
    span
}

/// Adds the transaction that the current job turned out to be about to its log lines from here on.
pub(crate) fn is_about(transaction: TransactionId) {
    Span::current().record(TRANSACTION, tracing::field::display(transaction));
}
