//! Freezes the amount of the refund of a deposit, or fails it for want of funds or by a rule.

use wallet_core::flows::Command;
use wallet_core::jobs::ClaimedJob;
use wallet_core::stripe::{CreateRefund, made};
use wallet_core::transactions::Stage;

use super::step;
use crate::job_error::JobError;
use crate::observations::{self, Look};
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
    // Books that are lost have made it, and its owner's wish to cancel has found that. If it fails here all the same, what has left is booked as
    // made by others.
    worker
        .settle_locked(&transaction.wallets(), &[hold.before_others()])
        .await?;
    match worker.transaction(job).await?.stage {
        Stage::Failed => observations::refund(&Look::unasked(worker, job), &made).await,
        _ => worker.finish(job).await,
    }
}
