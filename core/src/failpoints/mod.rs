//! Failpoints: places where a program of the fault campaign can be made to die, stop or stall.
//!
//! All of this is compiled in only with the cargo feature `chaos`, which only the campaign's own program enables (`docs/chaos.md`). Without
//! it [`reach`] does nothing, so nothing of this remains in the real programs.

#[cfg(feature = "chaos")]
mod order;
mod point;

#[cfg(feature = "chaos")]
pub use order::{Action, Order, OrderError, Orders};
pub use point::{Point, reach};
