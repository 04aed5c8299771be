//! What a worker does besides its jobs, each by a task of its own.

pub(crate) mod checks;
pub(crate) mod housekeeping;
pub(crate) mod key_alarms;
pub(crate) mod lock_nodes;
pub(crate) mod overdue_locks;
pub(crate) mod platform_account;
pub(crate) mod redis_fallback;
pub(crate) mod resume;
