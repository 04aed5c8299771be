//! FLUSHALL on the queue node while jobs wait.

use std::time::Duration;

use anyhow::Result;

use crate::report::Line;
use crate::system::System;

pub(crate) async fn measure(transfers: usize) -> Result<Vec<Line>> {
    let system = System::start().await?;
    let worker = system.stack.start_worker().await?;
    let funded = system.funded(10, "1000.00").await?;
    worker.freeze();
    funded.send(transfers, 16).await?;
    let mut queue = system.queue().await?;
    let _: () = redis::cmd("FLUSHALL").query_async(&mut queue).await?;
    worker.thaw();
    let took = system.all_completed(Duration::from_secs(60)).await?;
    Ok(vec![Line::below(
        format!("{transfers} waiting jobs finish after FLUSHALL"),
        took.as_secs_f64(),
        10.0,
        "s",
    )])
}
