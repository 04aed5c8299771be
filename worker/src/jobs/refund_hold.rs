//! Holds the amount of a deposit's refund, or fails the refund for lack of funds or because a rule forbids it.

use wallet_core::flows::Command;
use wallet_core::jobs::ClaimedJob;
use wallet_core::stripe::{CreateRefund, made};
use wallet_core::transactions::Stage;

use super::step;
use crate::job_error::JobError;
use crate::observations::{self, Observation};
use crate::worker::Worker;

pub(super) async fn run(worker: &Worker, job: &ClaimedJob) -> Result<(), JobError> {
    let transaction = worker.transaction(job).await?;
    let made = {
        let conn = &mut worker.db.conn().await?;
        made::<CreateRefund>(conn, transaction.id.uuid()).await?
    };
    let hold = step(job, &transaction, Command::Hold);
    let Some(made) = made else {
        worker.settle_locked(&transaction.wallets(), &[hold]).await?;
        return Ok(());
    };
    // The refund was made before the database was restored, and the owner's request to cancel has found it.
    // If the hold fails nevertheless, the money that has left is booked as a refund made by others.
    worker
        .settle_locked(&transaction.wallets(), &[hold.before_others()])
        .await?;
    match worker.transaction(job).await?.stage {
        Stage::Failed => observations::refund(&Observation::unasked(worker, job), &made).await,
        _ => worker.finish(job).await,
    }
}
