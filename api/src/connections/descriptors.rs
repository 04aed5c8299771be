//! How many file descriptors the system lends to this process.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors that are not connections of clients: the listener, pools, logs, websockets that have left their connection.
const OTHERS: u64 = 1_536;
/// The least that is served with, however few descriptors there are.
const LEAST: usize = 64;

/// How many connections of clients there are descriptors for. The limit is raised as far as the system allows first: many start
/// programs with 1,024, for the sake of those that use `select`.
pub(super) fn for_connections() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return LEAST;
    };
    let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    let lent = if raised { hard } else { soft };
    // With few descriptors half of them are left for the rest.
    let left = lent.saturating_sub(OTHERS).max(lent / 2);
    usize::try_from(left).unwrap_or(usize::MAX).max(LEAST)
}
