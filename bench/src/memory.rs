//! Resident memory of the processes after many requests.

use anyhow::Result;

use crate::report::Line;
use crate::system::{System, resident_mb};
use std::time::Duration;

pub(crate) async fn measure(requests: usize) -> Result<Vec<Line>> {
    let system = System::start().await?;
    let worker = system.stack.start_worker().await?;
    let funded = system.funded(10, "1000.00").await?;
    funded.send(requests, 16).await?;
    system.all_completed(Duration::from_secs(120)).await?;
    Ok(vec![
        Line::below(
            format!("API resident after {requests} transfers"),
            resident_mb(&system.api)?,
            80.0,
            "MB",
        ),
        Line::below(
            "worker resident after the same",
            resident_mb(&worker)?,
            100.0,
            "MB",
        ),
    ])
}
