//! Jobs: the work that waits to be done, as rows of PostgreSQL.
//!
//! A job is inserted in the transaction that accepts its request, claimed with a fence and a lease, and deleted in the transaction of
//! its effect. Attempts, retries and parking are columns here; Redis only carries ids ([`crate::queue`]).

mod backlog;
mod claim;
mod dispatch;
mod end;
mod kind;
mod lock;
mod new;
mod parked;
mod waits_for;

pub use backlog::{Backlog, backlog};
pub use claim::{Claim, ClaimedJob, LEASE, RENEW_EVERY, claim, extend, renew};
pub use dispatch::{
    Expedite, count_waiting_for, dispatch_again, expedite, forget_dispatch, queues_due, take_due,
};
pub use end::{
    MAX_STARTS, Reschedule, drop_of, drop_parked, finish, lock_at_rest, park, park_crashed, record_payload,
    record_progress, release, retry_later,
};
pub use kind::{JobKind, QueueName, UnknownQueue};
pub(crate) use lock::{lock_fences, lock_of};
pub(crate) use new::insert_marked;
pub use new::{NewJob, insert, insert_all};
pub use parked::{
    MOST_OF_WALLET, ParkedJob, UniqueJob, find_unique, is_parked, list_parked, parked_of, requeue,
};
pub use waits_for::WaitsFor;
