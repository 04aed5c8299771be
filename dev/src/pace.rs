//! How fast this machine is at this moment, so that no bar of time depends on it.
//!
//! Bars of time are for two processors of a usual speed that nobody else uses. As many threads as there are processors each do a fixed piece of
//! work, some times over. What the median piece took longer than it may is what every bar of time is longer by: a machine half as fast, or
//! shared with as many busy programs, has twice the time. It is measured once for each process: by a campaign before anything of it runs, so
//! that a system that burdens the machine itself gains nothing by it, and by a test only when a bar is about to be missed.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

/// What a piece takes on the machine that the bars are for, at most.
const USUAL: Duration = Duration::from_millis(60);
/// Pieces of each thread.
const PIECES: usize = 15;
/// Bytes that are digested for one.
const PIECE: usize = 8 << 20;
/// A machine slower than this has no use for a campaign; its bars would be none.
const SLOWEST: f64 = 8.0;

static FACTOR: OnceLock<f64> = OnceLock::new();

/// By what factor the bars of time are longer here: 1 or more.
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

/// A bar of time, as long as this machine needs it.
#[must_use]
pub fn scaled(bar: Duration) -> Duration {
    bar.mul_f64(factor())
}

/// Whether more time has passed than a bar gives, also on this machine, which is measured only then.
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
        // One piece that was interrupted says nothing.
        assert!((of(vec![USUAL, USUAL, USUAL * 50]) - 1.0).abs() < 1e-9);
    }
}
