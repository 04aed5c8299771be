//! The queue transport: it carries the ids of jobs to workers through Redis, and nothing else.
//!
//! The queue itself is the `jobs` table. What the transport carries may be lost, repeated or late at any moment. That costs
//! time but never money: the dispatcher dispatches again what has not been claimed, and a claim admits only one worker. So
//! one apalis task is a group of job ids of one queue; it is always acknowledged, and its outcome is a row of PostgreSQL.
//!
//! apalis-redis 1.0.0 has the following properties, and the code here works around them:
//!
//! - Every push goes through the *scheduled* set with a time from the pusher's clock, and a worker fetches nothing before its own clock
//!   has reached that time; with 8,000 tasks in the set it can never fetch again. So [`QueueTransport::push`] moves the tasks to the
//!   active list at once, in portions, and neither clocks nor numbers matter.
//! - An idle worker fetches again only at its next heartbeat or, with a poll strategy, whenever its task is polled: thousands of
//!   times a second. Here its connection holds the fetch of an idle worker back until a message arrives, or for 200 ms in case
//!   the message was lost. The stream strategy of apalis sometimes loses its waker, so the strategy here is our own.
//! - Any Redis error ends the worker and drops its handlers in the middle of their work. So handlers run in spawned tasks, and
//!   a supervisor ([`Consumer::run`]) starts the worker again under a new name, because the old name is refused.
//! - Tasks that a dead worker had fetched stay assigned to it: [`QueueTransport`] puts back those that were not begun.
//! - A task with unreadable data or metadata ends the worker that fetches it, and then the next one. So the data is read by a codec
//!   that cannot fail, and tasks whose data is gone or whose metadata is invalid are put aside before the worker is started again.
//! - Finished tasks stay in Redis for ever. [`QueueTransport::purge`] removes them; the consumer calls it as tasks finish.
//! - Without result persistence nothing is acknowledged, so it stays on, with an empty result. Task locking, events and
//!   idempotency keys are off: they are not needed, and each costs round trips or is one more way to end the worker.
//! - Workers judge each other's heartbeats by their own clocks. That check is made so lenient that it never takes effect; the
//!   clock of Redis decides instead.

mod aside;
mod consumer;
mod group;
mod life;
mod link;
mod members;
mod names;
#[cfg(test)]
mod tests;
mod transport;
mod wake;
mod watched;

pub use consumer::{Consumer, ConsumerHealth, TaskHandler};
pub use transport::{QueueTransport, TransportError};
