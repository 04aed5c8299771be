//! Waits until something becomes true, by checking repeatedly, never by a guessed duration.

use std::time::{Duration, Instant};

use wallet_dev::pace;

/// How long anything may take before the test fails: far more than needed, and longer on a machine that is slower or shared.
pub const PATIENCE: Duration = Duration::from_secs(40);

const LOOK_EVERY: Duration = Duration::from_millis(15);

/// Checks repeatedly until there is something to return.
///
/// # Panics
/// If there is nothing after [`PATIENCE`]; `what` says what was waited for.
pub async fn until<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, look).await
}

/// Like [`until`], with another deadline.
///
/// # Panics
/// If there is nothing by then.
pub async fn until_within<T>(patience: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            !pace::is_over(start.elapsed(), patience),
            "waited {patience:?} in vain: {what}"
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Checks repeatedly until the condition holds.
///
/// # Panics
/// If it does not hold after [`PATIENCE`].
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    until(what, async || holds().await.then_some(())).await;
}
