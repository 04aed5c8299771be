//! Guards that the campaign can break, one at a time, to see that its checks would notice.

macro_rules! bugs {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// A guard that the campaign can break.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum PlantedBug {
            $($(#[doc = $doc])+ $name,)+
        }

        impl PlantedBug {
            /// Every bug.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name in `PLANTED_BUG`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// The bug of this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|bug| bug.name() == name)
            }
        }
    };
}

bugs! {
    /// A worker whose claim is void settles all the same.
    NoFence = "no-fence",
    /// What has happened before is posted once more.
    SettledTwice = "settled-twice",
    /// The key of a call to Stripe changes with the time of the try.
    KeyFromTheClock = "key-from-the-clock",
    /// A refused withdrawal or refund keeps its hold.
    HoldNotReleased = "hold-not-released",
    /// An event counts as processed before it is.
    EventMarkedFirst = "event-marked-first",
    /// The dispatcher looks for jobs after the last it has seen.
    DispatcherByCursor = "dispatcher-by-cursor",
    /// The job of a request is written after the request's commit.
    JobAfterCommit = "job-after-commit",
    /// A job that is to be tried again is forgotten.
    RetryForgotten = "retry-forgotten",
    /// Wallets are read without locking their rows, under a `RedLock` that has lapsed.
    NoRowLocks = "no-row-locks",
    /// Refunds are not held against what is left of the original.
    RefundsUnlimited = "refunds-unlimited",
    /// Settlements write no audit record.
    AuditSkipped = "audit-skipped",
    /// A call without an answer counts as refused.
    UnknownIsRefused = "unknown-is-refused",
    /// A client's idempotency key is not kept.
    ClientKeyIgnored = "client-key-ignored",
    /// A deposit is cancelled here without its intent at Stripe.
    CancelledHereOnly = "cancelled-here-only",
}

/// Whether this guard is broken.
#[cfg(not(feature = "chaos"))]
#[must_use]
#[inline]
pub const fn is_planted(_: PlantedBug) -> bool {
    false
}

/// Whether this guard is broken: the one that `PLANTED_BUG` names.
#[cfg(feature = "chaos")]
#[must_use]
pub fn is_planted(bug: PlantedBug) -> bool {
    super::order::Orders::of_process().bug == Some(bug)
}
