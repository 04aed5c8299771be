//! Measures how fast this machine is at the moment, so that time limits do not depend on it.
//!
//! Time limits are meant for two otherwise idle processors of the usual speed. As many threads as there are processors each do a fixed piece of
//! work several times. All time limits are lengthened by the factor by which the median piece was too slow: a machine half as fast, or
//! shared with as many busy programs, gets twice the time. Each process measures once: a campaign before it runs anything, so
//! that a system that burdens the machine itself gains nothing by it, and a test only when a limit is about to be missed.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

/// The maximum duration of a piece on the machine that the limits are meant for.
const USUAL: Duration = Duration::from_millis(60);
/// The number of pieces per thread.
const PIECES: usize = 15;
/// The number of bytes that a piece digests.
const PIECE: usize = 8 << 20;
/// The maximum factor. On a slower machine a campaign is useless: its limits would be meaningless.
const SLOWEST: f64 = 8.0;

static FACTOR: OnceLock<f64> = OnceLock::new();

/// Returns the factor by which time limits are longer here, from 1 to `SLOWEST`.
#[must_use]
pub fn factor() -> f64 {
    *FACTOR.get_or_init(|| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let working: Vec<_> = (0..threads).map(|_| std::thread::spawn(pieces)).collect();
        let took: Vec<Duration> = working
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .flatten()
            .collect();
        of(took)
    })
}

/// Returns a time limit, lengthened as this machine needs it.
#[must_use]
pub fn scaled(bar: Duration) -> Duration {
    bar.mul_f64(factor())
}

/// Returns whether a time limit is exceeded even on this machine, which is measured only if it is exceeded as it stands.
#[must_use]
pub fn is_over(passed: Duration, bar: Duration) -> bool {
    passed > bar && passed > scaled(bar)
}

fn pieces() -> Vec<Duration> {
    let bytes = vec![7_u8; PIECE];
    (0..PIECES)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(Sha256::digest(std::hint::black_box(&bytes)));
            start.elapsed()
        })
        .collect()
}

#[expect(clippy::float_arithmetic, reason = "a measure of speed, no money")]
fn of(mut took: Vec<Duration>) -> f64 {
    took.sort_unstable();
    let median = took.get(took.len() / 2).copied().unwrap_or(USUAL);
    (median.as_secs_f64() / USUAL.as_secs_f64()).clamp(1.0, SLOWEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_is_slower_or_shared_has_longer_bars_and_a_faster_one_the_usual() {
        assert!((of(vec![USUAL / 4; 5]) - 1.0).abs() < 1e-9);
        assert!((of(vec![USUAL * 3; 5]) - 3.0).abs() < 1e-9);
        assert!((of(vec![USUAL * 100; 5]) - SLOWEST).abs() < 1e-9);
        // One piece that was interrupted does not matter.
        assert!((of(vec![USUAL, USUAL, USUAL * 50]) - 1.0).abs() < 1e-9);
    }
}
