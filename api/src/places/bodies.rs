//! Memory for bodies that are read before anybody has vouched for them.

use std::sync::Arc;

use super::{ClientAddress, Share, Shares};

/// How much of a body one place is for.
pub(crate) const PIECE: usize = 64 * 1024;
/// Places in all, and of one address: 32 MiB, and 8 MiB.
const MOST: usize = 512;
const MOST_OF_ADDRESS: usize = 128;

/// The places of a process.
#[derive(Debug)]
pub(crate) struct Bodies {
    all: Arc<Shares<()>>,
    addresses: Arc<Shares<ClientAddress>>,
}

/// The places of one body, until it is dropped.
#[derive(Debug)]
pub(crate) struct BodyRoom<'a> {
    of: &'a Bodies,
    address: ClientAddress,
    held: Vec<(Share<()>, Option<Share<ClientAddress>>)>,
}

impl Bodies {
    pub(crate) fn new() -> Self {
        Self {
            all: Shares::new(MOST, MOST),
            addresses: Shares::new(MOST, MOST_OF_ADDRESS),
        }
    }

    /// Room for a body from this address; none is taken yet.
    pub(crate) const fn room(&self, address: ClientAddress) -> BodyRoom<'_> {
        BodyRoom {
            of: self,
            address,
            held: Vec::new(),
        }
    }
}

impl BodyRoom<'_> {
    /// Makes room for so many bytes in all; false when there is none.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> bool {
        while self.held.len() < bytes.div_ceil(PIECE).max(1) {
            let Ok(place) = self.of.all.take(()) else {
                return false;
            };
            // Behind trusted proxies are many.
            let of_address = if self.address.is_crowd() {
                None
            } else {
                match self.of.addresses.take(self.address) {
                    Ok(share) => Some(share),
                    Err(_) => return false,
                }
            };
            self.held.push((place, of_address));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::{PeerAddress, client_address};

    fn address(text: &str) -> ClientAddress {
        let peer = PeerAddress(text.parse().unwrap());
        client_address(Some(peer), &Default::default(), &Default::default())
    }

    #[test]
    fn an_address_has_a_share_of_the_memory_and_gives_it_back() {
        let bodies = Bodies::new();
        let greedy = address("203.0.113.1");
        let mut held = Vec::new();
        loop {
            let mut room = bodies.room(greedy);
            if !room.grow_to(1024 * 1024) {
                break;
            }
            held.push(room);
        }
        assert_eq!(held.len(), MOST_OF_ADDRESS * PIECE / (1024 * 1024));
        assert!(!bodies.room(greedy).grow_to(1), "not even a small one");
        let mut other = bodies.room(address("203.0.113.2"));
        assert!(other.grow_to(0) && other.grow_to(PIECE) && other.grow_to(PIECE + 1));
        assert_eq!(other.held.len(), 2);
        held.clear();
        assert!(bodies.room(greedy).grow_to(1024 * 1024));
    }

    #[test]
    fn all_addresses_together_have_a_bound() {
        let bodies = Bodies::new();
        let held: Vec<_> = (0..8)
            .map(|last| {
                let mut room = bodies.room(address(&format!("203.0.113.{last}")));
                (room.grow_to(MOST_OF_ADDRESS * PIECE), room)
            })
            .collect();
        assert_eq!(
            held.iter().filter(|(has, _)| *has).count(),
            MOST / MOST_OF_ADDRESS
        );
    }
}
