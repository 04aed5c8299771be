//! The points on a request's path at which a program may be made to fail.

use strum::{EnumString, IntoStaticStr, VariantArray};

/// A point on a request's path at which a program of the campaign may be made to fail; in the order of that path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[derive(EnumString, IntoStaticStr, VariantArray)]
pub enum Point {
    /// API: a request is written but not committed.
    AcceptBeforeCommit,
    /// API: a request is committed but its program does not know it yet.
    AcceptCommitSent,
    /// API: a request is committed but not answered.
    AcceptBeforeAnswer,
    /// Dispatcher: jobs are marked as dispatched but not pushed to Redis.
    DispatchMarked,
    /// Dispatcher: jobs are pushed to Redis.
    DispatchPushed,
    /// Worker: a task is fetched but none of its jobs is claimed.
    TaskFetched,
    /// Worker: jobs are claimed and nothing is done yet.
    JobsClaimed,
    /// Worker: a call to Stripe is counted but not sent.
    CallBeforeSend,
    /// Worker: Stripe has answered but the answer is not recorded.
    CallAnswered,
    /// Worker: a settlement is committed but its program does not know it yet.
    SettleCommitSent,
    /// Worker: a task is done but not acknowledged.
    TaskDone,
    /// Worker: a task is acknowledged and purged from Redis.
    TaskAcknowledged,
    /// Webhook: an event is verified but not committed.
    EventBeforeCommit,
    /// Webhook: an event is committed but not answered.
    EventBeforeAnswer,
    /// Worker: an event is read but not interpreted.
    EventRead,
    /// Worker: an event is processed.
    EventProcessed,
}

impl Point {
    /// Every point.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The point's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
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
