//! The places of websockets and of what is watched over them.

use std::sync::Arc;

use wallet_core::ids::UserId;

use super::{ClientAddress, Full, Guest, Room, Share, Shares};

/// Most websockets that have not been greeted, and how many of them one address gets.
const MOST_UNGREETED: usize = 256;
const UNGREETED_OF_ADDRESS: usize = 32;
/// Most greeted websockets, how many of them one person gets, and how many one address.
const MOST_GREETED: usize = 2_000;
const GREETED_OF_PERSON: usize = 20;
const GREETED_OF_ADDRESS: usize = 500;
/// Most subscriptions of all websockets, and how many of them one person gets, over all their websockets.
const MOST_SUBSCRIPTIONS: usize = 20_000;
const SUBSCRIPTIONS_OF_PERSON: usize = 100;

/// The places of one process.
#[derive(Debug)]
pub(crate) struct Sockets {
    ungreeted: Arc<Room>,
    people: Arc<Shares<UserId>>,
    addresses: Arc<Shares<ClientAddress>>,
    subscriptions: Arc<Shares<UserId>>,
}

/// The places of a greeted websocket.
#[derive(Debug)]
pub(crate) struct Seat {
    _person: Share<UserId>,
    _address: Option<Share<ClientAddress>>,
}

impl Sockets {
    pub(crate) fn new() -> Self {
        Self {
            ungreeted: Room::new(MOST_UNGREETED, UNGREETED_OF_ADDRESS),
            people: Shares::new(MOST_GREETED, GREETED_OF_PERSON),
            addresses: Shares::new(MOST_GREETED, GREETED_OF_ADDRESS),
            subscriptions: Shares::new(MOST_SUBSCRIPTIONS, SUBSCRIPTIONS_OF_PERSON),
        }
    }

    /// The place of a websocket that nobody has greeted on yet: another one makes way for it. Until then all of them are idle, so
    /// there always is one.
    pub(crate) fn open(&self, address: ClientAddress) -> Option<Guest> {
        self.ungreeted.enter(address)
    }

    /// The place of a websocket of this person.
    ///
    /// # Errors
    /// When the person, the address or the process has as many as it may.
    pub(crate) fn greet(&self, person: UserId, address: ClientAddress) -> Result<Seat, Full> {
        let person = self.people.take(person)?;
        let address = if address.is_crowd() {
            None
        } else {
            Some(self.addresses.take(address)?)
        };
        Ok(Seat {
            _person: person,
            _address: address,
        })
    }

    /// The place of a subscription of this person.
    ///
    /// # Errors
    /// When the person or the process has as many as it may.
    pub(crate) fn subscribe(&self, person: UserId) -> Result<Share<UserId>, Full> {
        self.subscriptions.take(person)
    }
}
