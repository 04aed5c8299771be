//! Waits for a program to respond over HTTP.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::process::Process;

/// Waits until `url` answers 200. Fails if the process ends, or after `limit`; the error shows the end of its log.
///
/// # Errors
/// Names the program that did not start, with the reason as far as its log shows it.
pub async fn wait_until_ready(url: &str, process: &mut Process, limit: Duration) -> Result<()> {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(2))
        .no_proxy()
        .build()?;
    let start = Instant::now();
    loop {
        if let Some(status) = process.try_wait()? {
            bail!(
                "{} ended ({status}). The end of {}:\n{}",
                process.name(),
                process.log().display(),
                process.log_tail(20).join("\n")
            );
        }
        let answer = client.get(url).send().await;
        if answer
            .as_ref()
            .is_ok_and(|response| response.status().is_success())
        {
            return Ok(());
        }
        if start.elapsed() > limit {
            let why = match answer {
                Ok(response) => format!("it answers {}", response.status()),
                Err(error) => error.to_string(),
            };
            bail!(
                "{} is not ready at {url} after {} s: {why}. The end of {}:\n{}",
                process.name(),
                limit.as_secs(),
                process.log().display(),
                process.log_tail(20).join("\n")
            );
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
