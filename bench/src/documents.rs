//! Measures documents: how much processor time the worst of many takes before the engine sees it.
//!
//! The figure is the thread's processor time, not wall-clock time, so that other work of the machine does not count.

use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::time::{ClockId, clock_gettime};
use wallet_api::{Measured, measure};
use wallet_dev::documents::numbered;

use crate::report::{Line, millis};

/// The bar: the maximum time for any document, in milliseconds.
const LONGEST: f64 = 50.0;
/// The bar: the maximum size of a response, in MiB.
const LARGEST: f64 = 8.0;

/// Measures the documents with these numbers, each three times. The least time counts, since a cold cache is the machine's fault.
pub(crate) fn measure_documents(documents: u64) -> Result<Vec<Line>> {
    // The schema is read once per process.
    let _ = measure(b"{\"query\":\"{ __typename }\"}");
    let mut longest = (Duration::ZERO, 0);
    let (mut largest, mut taken) = (0, 0);
    for seed in 0..documents {
        let body = numbered(seed);
        let mut least = Duration::MAX;
        for _ in 0..3 {
            let before = processor_time()?;
            let measured = measure(&body);
            least = least.min(processor_time()?.saturating_sub(before));
            if let Measured::Taken { bytes, .. } = measured {
                largest = largest.max(bytes);
                taken += 1;
            }
        }
        longest = longest.max((least, seed));
    }
    let mebibytes = u32::try_from(largest / 1024).map_or(f64::MAX, f64::from) / 1024.0;
    Ok(vec![
        Line::below(
            format!("slowest of {documents} documents (number {})", longest.1),
            millis(longest.0),
            LONGEST,
            "ms",
        ),
        Line::below(
            "largest answer that any of them is promised",
            mebibytes,
            LARGEST,
            "MiB",
        ),
        Line::holds(
            "documents of them that are answered",
            format!("{}", taken / 3),
            "> 0",
            taken > 0,
        ),
    ])
}

fn processor_time() -> Result<Duration> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).context("no clock of the thread")?;
    Ok(time.into())
}
