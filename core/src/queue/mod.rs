//! The carrier: takes the ids of jobs to workers through Redis, and nothing else.
//!
//! The `jobs` table is the queue. What is carried here may be lost, repeated or late at any moment, which costs time and never
//! money: the dispatcher hands over again what has not been claimed, and a claim lets only one worker in. So one apalis task
//! is a group of job ids of one queue, it is always acknowledged, and its outcome is a row of PostgreSQL.
//!
//! apalis-redis 1.0.0 is used with these of its habits in mind:
//!
//! - Every push goes through the *scheduled* set with the pusher's clock, and a worker fetches nothing before its own clock has
//!   reached that time; with 8,000 tasks there it can never fetch again. [`Carrier::push`] moves them on to the active list at
//!   once, in portions, so neither clocks nor numbers matter.
//! - An idle worker looks again only at its next heartbeat, or, with a poll strategy, whenever its task is polled: thousands of
//!   times a second. Here its connection holds the fetch of an idle worker back until a message comes, or for 200 ms, which
//!   covers lost messages. The stream strategy of apalis loses its waker now and then: the one here is our own.
//! - Any Redis error ends the worker and drops its handlers in the middle. Handlers run in tasks of their own, and a
//!   supervisor ([`Consumer::run`]) starts the worker again under a new name, since the old name is refused.
//! - The tasks in the hands of a dead worker stay there: [`Carrier`] puts those that were not begun back.
//! - A task whose data or metadata is unreadable ends the worker that fetches it, and then the next: data is read by a codec that
//!   cannot fail, and a task whose data is gone or whose metadata makes no sense is put aside before the next life begins.
//! - Finished tasks stay in Redis for ever. [`Carrier::sweep`] removes them; the consumer calls it as tasks finish.
//! - Without result persistence nothing is acknowledged: it stays on, with an empty result. Task locking, its events and
//!   idempotency keys are off: nothing here needs them, and each costs round trips or has its own way to end the worker.
//! - Workers judge each other's heartbeats by their own clocks: that judgement is made far too lenient to matter, and is made
//!   by the clock of Redis instead.

mod aside;
mod carrier;
mod consumer;
mod group;
mod life;
mod link;
mod members;
mod names;
#[cfg(test)]
mod tests;
mod wake;
mod watched;

pub use carrier::{Carrier, CarrierError};
pub use consumer::{Consumer, ConsumerHealth, TaskHandler};
