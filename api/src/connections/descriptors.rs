//! How many of its file descriptors this process may use for connections.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors for anything else: the listener, pools, logs, and websockets, which no longer count as connections.
const OTHERS: u64 = 1_536;
/// The minimum number of connections, however few descriptors there are.
const LEAST: usize = 64;

/// Returns how many connections of clients there are descriptors for. First raises the limit as far as the system allows: many
/// systems start programs with 1,024, for the sake of those that use `select`.
pub(super) fn for_connections() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return LEAST;
    };
    let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    let lent = if raised { hard } else { soft };
    // If there are few descriptors, half of them are left for everything else.
    let left = lent.saturating_sub(OTHERS).max(lent / 2);
    usize::try_from(left).unwrap_or(usize::MAX).max(LEAST)
}
