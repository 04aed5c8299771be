//! The places of websockets and of their subscriptions.

use std::sync::Arc;
use std::time::Duration;

use wallet_core::ids::UserId;

use super::{ClientAddress, Full, Guest, Pace, Room, Share, Shares};

/// The maximum number of websockets that have not been greeted, in total and from one address.
const MOST_UNGREETED: usize = 256;
const UNGREETED_OF_ADDRESS: usize = 32;
/// How often one address may open a websocket, how many times at once, and how long it waits for its turn: otherwise a client that
/// loses places by opening others would keep the process busy with that alone.
const OPENED_EVERY: Duration = Duration::from_millis(20);
const OPENED_AT_ONCE: u32 = 100;
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// The maximum number of greeted websockets: in total, of one person, and from one address.
const MOST_GREETED: usize = 2_000;
const GREETED_OF_PERSON: usize = 20;
const GREETED_OF_ADDRESS: usize = 500;
/// The maximum number of subscriptions of all websockets: in total, and of one person over all their websockets.
const MOST_SUBSCRIPTIONS: usize = 20_000;
const SUBSCRIPTIONS_OF_PERSON: usize = 100;

/// The places of one process.
#[derive(Debug)]
pub(crate) struct Sockets {
    opening: Pace,
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
            opening: Pace::new(OPENED_EVERY, OPENED_AT_ONCE, LONGEST_WAIT),
            ungreeted: Room::new(MOST_UNGREETED, UNGREETED_OF_ADDRESS),
            people: Shares::new(MOST_GREETED, GREETED_OF_PERSON),
            addresses: Shares::new(MOST_GREETED, GREETED_OF_ADDRESS),
            subscriptions: Shares::new(MOST_SUBSCRIPTIONS, SUBSCRIPTIONS_OF_PERSON),
        }
    }

    /// The same as [`Sockets::open`], once it is the turn of this address.
    pub(crate) async fn open_in_turn(&self, address: ClientAddress) -> Option<Guest> {
        self.opening.wait(address).await.ok()?;
        self.open(address)
    }

    /// Takes the place of a websocket that has not been greeted yet; another one makes way for it. Until they are greeted all of
    /// them are idle, so there always is one.
    pub(crate) fn open(&self, address: ClientAddress) -> Option<Guest> {
        self.ungreeted.enter(address)
    }

    /// Takes the place of a greeted websocket of this person.
    ///
    /// # Errors
    /// If the person, the address or the process has reached its maximum.
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

    /// Takes the place of a subscription of this person.
    ///
    /// # Errors
    /// If the person or the process has reached its maximum.
    pub(crate) fn subscribe(&self, person: UserId) -> Result<Share<UserId>, Full> {
        self.subscriptions.take(person)
    }
}
