//! What every line about a job says.

use tracing::Span;
use wallet_core::ids::TransactionId;
use wallet_core::jobs::{ClaimedJob, JobKind};

/// The field of every line that is about a transaction, here and in the API: by it one is followed through all programs.
const TRANSACTION: &str = "transaction_id";

/// Its number, its kind and the transaction that it is about.
pub(crate) fn of(job: &ClaimedJob) -> Span {
    let kind = job.kind.map_or("unknown", JobKind::as_str);
    // Of the highest level, so that no filter of lines takes the ids from those that it lets through.
    let span =
        tracing::error_span!("job", job = %job.claim.job, kind, transaction_id = tracing::field::Empty);
    if let Some(transaction) = job.transaction {
        span.record(TRANSACTION, tracing::field::display(transaction));
    }
    span
}

/// Says, from here on, in every line about the job under way, which transaction it turned out to be about.
pub(crate) fn is_about(transaction: TransactionId) {
    Span::current().record(TRANSACTION, tracing::field::display(transaction));
}
