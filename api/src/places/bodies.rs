//! Memory for bodies while they are read.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The bytes of a body that one place is for.
pub(crate) const PIECE: usize = 64 * 1024;

/// The places of a process for one kind of body. If all of them are taken, or all of a holder's share, the oldest body makes way: of the holder
/// with the most places, or of that holder. So bodies that never end keep no other body out.
#[derive(Debug)]
pub(crate) struct Bodies<K> {
    most: usize,
    most_of_one: usize,
    rooms: Mutex<Rooms<K>>,
}

#[derive(Debug)]
struct Rooms<K> {
    next: u64,
    all: usize,
    of: HashMap<K, usize>,
    /// The oldest first.
    each: BTreeMap<u64, Room<K>>,
}

#[derive(Debug)]
struct Room<K> {
    holder: Option<K>,
    places: usize,
    leave: CancellationToken,
}

/// The places of one body, until it is dropped.
#[derive(Debug)]
pub(crate) struct BodyRoom<'a, K: Copy + Eq + Hash> {
    of: &'a Bodies<K>,
    id: u64,
    leave: CancellationToken,
}

impl<K: Copy + Eq + Hash> Bodies<K> {
    /// Creates `most` places of [`PIECE`] bytes, of which one holder may have `most_of_one`.
    pub(crate) fn new(most: usize, most_of_one: usize) -> Self {
        let rooms = Rooms {
            next: 0,
            all: 0,
            of: HashMap::new(),
            each: BTreeMap::new(),
        };
        Self {
            most,
            most_of_one,
            rooms: Mutex::new(rooms),
        }
    }

    /// Registers a body of this holder; without a holder, only the total limits it. No place is taken yet.
    pub(crate) fn room(&self, holder: Option<K>) -> BodyRoom<'_, K> {
        let leave = CancellationToken::new();
        let mut rooms = self.rooms();
        let id = rooms.next;
        rooms.next += 1;
        let room = Room {
            holder,
            places: 0,
            leave: leave.clone(),
        };
        rooms.each.insert(id, room);
        BodyRoom { of: self, id, leave }
    }

    /// Returns how many places this holder has.
    #[cfg(test)]
    pub(crate) fn held_by(&self, holder: &K) -> usize {
        self.rooms().held_by(holder)
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms<K>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + Eq + Hash> BodyRoom<'_, K> {
    /// Makes room for this many bytes in total. Returns false if there is no room, or if this body had to make way.
    pub(crate) fn grow_to(&self, bytes: usize) -> bool {
        let needed = bytes.div_ceil(PIECE).max(1);
        let mut rooms = self.of.rooms();
        loop {
            let Some(room) = rooms.each.get(&self.id) else {
                return false;
            };
            let (holder, places) = (room.holder, room.places);
            if places >= needed {
                return true;
            }
            let of_holder = holder.map_or(0, |holder| rooms.held_by(&holder));
            let makes_way = if of_holder >= self.of.most_of_one {
                rooms.oldest(self.id, holder)
            } else if rooms.all >= self.of.most {
                rooms.oldest_of_greatest(self.id)
            } else {
                rooms.take(self.id, holder);
                continue;
            };
            let Some(one) = makes_way else {
                return false;
            };
            rooms.free(one);
        }
    }

    /// Waits until this body has to make way.
    pub(crate) async fn has_to_leave(&self) {
        self.leave.cancelled().await;
    }
}

impl<K: Copy + Eq + Hash> Drop for BodyRoom<'_, K> {
    fn drop(&mut self) {
        self.of.rooms().free(self.id);
    }
}

impl<K: Copy + Eq + Hash> Rooms<K> {
    fn held_by(&self, holder: &K) -> usize {
        self.of.get(holder).copied().unwrap_or_default()
    }

    fn take(&mut self, id: u64, holder: Option<K>) {
        self.all += 1;
        if let Some(holder) = holder {
            *self.of.entry(holder).or_default() += 1;
        }
        if let Some(room) = self.each.get_mut(&id) {
            room.places += 1;
        }
    }

    /// Removes a body and frees its places, unless it was removed before.
    fn free(&mut self, id: u64) {
        let Some(room) = self.each.remove(&id) else {
            return;
        };
        room.leave.cancel();
        self.all = self.all.saturating_sub(room.places);
        if let Some(holder) = room.holder
            && let Some(held) = self.of.get_mut(&holder)
        {
            *held = held.saturating_sub(room.places);
            if *held == 0 {
                self.of.remove(&holder);
            }
        }
    }

    /// Returns the oldest body of a holder that has places, other than this one.
    fn oldest(&self, but: u64, holder: Option<K>) -> Option<u64> {
        let mut others = self
            .each
            .iter()
            .filter(|(id, room)| **id != but && room.places > 0);
        others.find(|(_, room)| room.holder == holder).map(|(id, _)| *id)
    }

    /// Returns the oldest body of the holder with the most places; a body without a holder counts by itself.
    fn oldest_of_greatest(&self, but: u64) -> Option<u64> {
        let weight = |room: &Room<K>| room.holder.map_or(room.places, |holder| self.held_by(&holder));
        let others = self
            .each
            .iter()
            .filter(|(id, room)| **id != but && room.places > 0);
        // Of equal elements `max_by_key` returns the last: the oldest.
        others
            .rev()
            .max_by_key(|(_, room)| weight(room))
            .map(|(id, _)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 512;
    const MOST_OF_ONE: usize = 128;

    #[test]
    fn one_holder_has_a_share_of_the_memory_within_which_the_oldest_makes_way() {
        let bodies = Bodies::new(MOST, MOST_OF_ONE);
        let held: Vec<_> = (0..MOST_OF_ONE)
            .map(|_| {
                let room = bodies.room(Some("greedy"));
                assert!(room.grow_to(1));
                room
            })
            .collect();
        let other = bodies.room(Some("other"));
        assert!(other.grow_to(0) && other.grow_to(PIECE) && other.grow_to(PIECE + 1));
        let newer = bodies.room(Some("greedy"));
        assert!(newer.grow_to(1));
        assert!(held[0].leave.is_cancelled() && !held[0].grow_to(1), "it made way");
        assert!(!held[1].leave.is_cancelled() && !other.leave.is_cancelled());
        assert_eq!(bodies.rooms().held_by(&"greedy"), MOST_OF_ONE);
        assert!(!bodies.room(Some("alone")).grow_to(MOST_OF_ONE * PIECE + 1));
        drop((held, newer, other));
        let rooms = bodies.rooms();
        assert_eq!((rooms.all, rooms.of.len(), rooms.each.len()), (0, 0, 0));
    }

    #[test]
    fn bodies_that_never_end_shut_no_newcomer_out_however_many_addresses_send_them() {
        let bodies = Bodies::new(MOST, MOST_OF_ONE);
        let slow: Vec<_> = (0..MOST)
            .map(|n| {
                let room = bodies.room(Some(n % 4));
                assert!(room.grow_to(1));
                room
            })
            .collect();
        for newcomer in 100..200 {
            let room = bodies.room(Some(newcomer));
            assert!(room.grow_to(3 * PIECE), "{newcomer}");
            assert!(bodies.rooms().all <= MOST);
        }
        // Three at once made way for the first; those that came after it found room.
        assert_eq!(slow.iter().filter(|room| room.leave.is_cancelled()).count(), 3);
        assert!(slow[0].leave.is_cancelled(), "the oldest of one who has most");
    }

    #[test]
    fn what_is_nobodys_makes_way_as_well() {
        let bodies = Bodies::<u8>::new(4, 4);
        let [old, young] = [bodies.room(None), bodies.room(None)];
        assert!(old.grow_to(2 * PIECE) && young.grow_to(2 * PIECE));
        assert!(bodies.room(None).grow_to(1));
        assert!(old.leave.is_cancelled() && !young.leave.is_cancelled());
    }
}
