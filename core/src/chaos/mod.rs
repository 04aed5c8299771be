//! Faults to order: places where a program of the fault campaign may die, stop or dawdle, and guards that it may break.
//!
//! Everything here is compiled in by the cargo feature `chaos`, which only the campaign's own program asks for (`docs/chaos.md`). Without
//! it [`reach`] does nothing and [`is_planted`] is the constant `false`, so nothing is left of either in the real programs.

mod bug;
#[cfg(feature = "chaos")]
mod order;
mod point;

pub use bug::{PlantedBug, is_planted};
#[cfg(feature = "chaos")]
pub use order::{Action, Order, OrderError, Orders};
pub use point::{Point, reach};
