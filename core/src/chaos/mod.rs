//! Faults to order: places where a program of the fault campaign may die, stop or dawdle.
//!
//! Everything here is compiled in by the cargo feature `chaos`, which only the campaign's own program asks for (`docs/chaos.md`). Without
//! it [`reach`] does nothing, so nothing is left of it in the real programs.

#[cfg(feature = "chaos")]
mod order;
mod point;

#[cfg(feature = "chaos")]
pub use order::{Action, Order, OrderError, Orders};
pub use point::{Point, reach};
