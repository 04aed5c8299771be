//! The places of a request's way at which a program may fail.

use strum::{EnumString, IntoStaticStr, VariantArray};

/// A place of a request's way at which a program of the campaign may fail, in the order of that way.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, EnumString, IntoStaticStr, VariantArray,
)]
pub enum Point {
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

impl Point {
    /// Every point.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// Its name.
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
