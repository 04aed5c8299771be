//! The places of a request's way at which a program may fail.

macro_rules! points {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// A place of a request's way at which a program of the campaign may fail.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Point {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Point {
            /// Every point, in the order of a request's way.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// The point of this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|point| point.name() == name)
            }
        }
    };
}

points! {
    /// API: a request is written and not committed.
    AcceptBeforeCommit,
    /// API: a request is committed and its program does not know yet.
    AcceptCommitSent,
    /// API: a request is committed and not answered.
    AcceptBeforeAnswer,
    /// Dispatcher: jobs are marked as handed over and not pushed to Redis.
    DispatchMarked,
    /// Dispatcher: jobs are pushed to Redis.
    DispatchPushed,
    /// Worker: a task is fetched and none of its jobs claimed.
    TaskFetched,
    /// Worker: jobs are claimed and nothing is done.
    JobsClaimed,
    /// Worker: a call to Stripe is counted and not sent.
    CallBeforeSend,
    /// Worker: Stripe has answered and the answer is not recorded.
    CallAnswered,
    /// Worker: a settlement is committed and its program does not know yet.
    SettleCommitSent,
    /// Worker: a task is done and not acknowledged.
    TaskDone,
    /// Worker: a task is acknowledged and swept from Redis.
    TaskAcknowledged,
    /// Webhook: an event is verified and not committed.
    EventBeforeCommit,
    /// Webhook: an event is committed and not answered.
    EventBeforeAnswer,
    /// Worker: an event is read and not understood.
    EventRead,
    /// Worker: an event is processed.
    EventProcessed,
}

/// Does what was ordered for this point.
#[cfg(not(feature = "chaos"))]
#[inline]
pub async fn reach(_: Point) {}

/// Does what was ordered for this point.
#[cfg(feature = "chaos")]
pub async fn reach(point: Point) {
    super::order::reach(point).await;
}
