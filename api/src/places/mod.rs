//! Places: how much one person, one address and all together may hold at once.
//!
//! Whatever a client can hold (a connection, a websocket, a subscription, a turn at the database) is taken from a counted pool,
//! of which one holder gets only a share, so that a holder who takes all they can get leaves enough for everybody else. Each
//! place is a guard: it is free again when it is dropped, however its holder ended.

mod address;
mod bodies;
mod pace;
mod refusals;
mod room;
mod shares;
mod sockets;
mod turns;

pub(crate) use address::{ClientAddress, PeerAddress, client_address};
pub(crate) use bodies::{Bodies, BodyRoom};
pub(crate) use pace::Pace;
pub(crate) use refusals::Refusals;
pub(crate) use room::{Guest, Room};
pub(crate) use shares::{Full, Share, Shares};
pub(crate) use sockets::{Seat, Sockets};
pub(crate) use turns::{Turn, Turns};
