//! A room whose idle guests make way for newcomers.
//!
//! It is for places that must be given before the caller is known: a connection, or a websocket that has not been greeted yet. The
//! address with the most places loses one first, so that taking all places shuts no other address out.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ClientAddress;

/// A room for a limited number of guests.
#[derive(Debug)]
pub(crate) struct Room {
    most: usize,
    most_of_one: usize,
    guests: Mutex<Guests>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Guests {
    next: u64,
    all: HashMap<u64, Arc<Presence>>,
    of: HashMap<ClientAddress, usize>,
}

/// The state of a guest.
#[derive(Debug)]
struct Presence {
    address: ClientAddress,
    entered: Instant,
    /// The number of its tasks at the moment.
    tasks: AtomicUsize,
    /// Whether it has ever had a task.
    has_begun: AtomicBool,
    idle_since: Mutex<Instant>,
    leave: CancellationToken,
}

impl Presence {
    fn idle_since(&self) -> Option<Instant> {
        let is_idle = self.tasks.load(Ordering::Acquire) == 0;
        is_idle.then(|| *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Room {
    /// Creates a room for `most` guests, of which `most_of_one` may be from one address.
    pub(crate) fn new(most: usize, most_of_one: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_of_one,
            guests: Mutex::default(),
            freed: Notify::new(),
        })
    }

    /// Lets a guest in. If the room is full, or the address has its share, an idle guest is asked to leave instead: first one that
    /// never had a task, then one of the address with the most guests, then the one that has been idle longest. Returns `None` if no
    /// guest is idle.
    pub(crate) fn enter(self: &Arc<Self>, address: ClientAddress) -> Option<Guest> {
        let mut guests = self.guests();
        let of_address = guests.of.get(&address).copied().unwrap_or_default();
        if !address.is_crowd() && of_address >= self.most_of_one {
            guests.send_away(|presence| presence.address == address)?;
        } else if guests.all.len() >= self.most {
            guests.send_away(|_| true)?;
        }
        let id = guests.next;
        guests.next += 1;
        let now = Instant::now();
        let presence = Arc::new(Presence {
            address,
            entered: now,
            tasks: AtomicUsize::new(0),
            has_begun: AtomicBool::new(false),
            idle_since: Mutex::new(now),
            leave: CancellationToken::new(),
        });
        guests.all.insert(id, Arc::clone(&presence));
        *guests.of.entry(address).or_default() += 1;
        drop(guests);
        let room = Arc::clone(self);
        Some(Guest(Arc::new(Stay { room, id, presence })))
    }

    /// Returns whether this address has its full share.
    pub(crate) fn is_share_of(&self, address: ClientAddress) -> bool {
        let of_address = self.guests().of.get(&address).copied().unwrap_or_default();
        !address.is_crowd() && of_address >= self.most_of_one
    }

    /// Asks the guest to leave that would make way for a newcomer, if there is one.
    pub(crate) fn send_one_away(&self) {
        let _ = self.guests().send_away(|_| true);
    }

    /// Returns once a guest has left or become idle since the last return.
    pub(crate) async fn freed(&self) {
        self.freed.notified().await;
    }

    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guests {
    fn send_away(&mut self, may_go: impl Fn(&Presence) -> bool) -> Option<()> {
        let idle = self.all.iter().filter_map(|(id, presence)| {
            let since = presence.idle_since().filter(|_| may_go(presence))?;
            let neighbours = self.of.get(&presence.address).copied().unwrap_or_default();
            let has_begun = presence.has_begun.load(Ordering::Relaxed);
            Some(((has_begun, Reverse(neighbours), since), *id))
        });
        let (_, id) = idle.min()?;
        self.remove(id)?.leave.cancel();
        Some(())
    }

    fn remove(&mut self, id: u64) -> Option<Arc<Presence>> {
        let presence = self.all.remove(&id)?;
        if let Some(count) = self.of.get_mut(&presence.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.of.remove(&presence.address);
            }
        }
        Some(presence)
    }
}

/// A guest that was let in, until the last copy is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Guest(Arc<Stay>);

#[derive(Debug)]
struct Stay {
    room: Arc<Room>,
    id: u64,
    presence: Arc<Presence>,
}

impl Drop for Stay {
    fn drop(&mut self) {
        // Removes nothing if the guest was sent away before.
        self.room.guests().remove(self.id);
        self.room.freed.notify_one();
    }
}

impl Guest {
    /// Waits until the guest has to make way.
    pub(crate) async fn asked_to_leave(&self) {
        self.0.presence.leave.cancelled().await;
    }

    /// Returns when the guest was let in.
    pub(crate) fn entered(&self) -> Instant {
        self.0.presence.entered
    }

    /// Returns whether the guest has ever had a task.
    pub(crate) fn has_begun(&self) -> bool {
        self.0.presence.has_begun.load(Ordering::Relaxed)
    }

    /// Returns since when the guest has been idle, or `None` while it has a task.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        self.0.presence.idle_since()
    }

    /// Begins a task, which ends when the guard is dropped.
    pub(crate) fn task(&self) -> Task {
        let presence = &self.0.presence;
        presence.has_begun.store(true, Ordering::Relaxed);
        presence.tasks.fetch_add(1, Ordering::AcqRel);
        Task(self.clone())
    }
}

/// A task of a guest.
#[derive(Debug)]
pub(crate) struct Task(Guest);

impl Drop for Task {
    fn drop(&mut self) {
        let Stay { room, presence, .. } = &*self.0.0;
        *presence.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        if presence.tasks.fetch_sub(1, Ordering::AcqRel) == 1 {
            room.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;

    use super::*;

    fn address(text: &str) -> ClientAddress {
        ClientAddress::of_peer(text.parse().unwrap(), &Default::default())
    }

    fn is_sent_away(guest: &Guest) -> bool {
        guest.asked_to_leave().now_or_never().is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_room_sends_away_who_did_nothing_then_of_the_most_then_the_longest_idle() {
        let room = Room::new(5, 4);
        let (many, few) = (address("203.0.113.1"), address("203.0.113.2"));
        let mut guests = Vec::new();
        for from in [few, many, many, many, few] {
            guests.push(room.enter(from).unwrap());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        // The last one never does anything.
        for guest in &guests[..4] {
            drop(guest.task());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        for sent in [4, 1, 2] {
            let newcomer = room.enter(address("203.0.113.3")).unwrap();
            std::mem::forget(newcomer.task());
            assert!(is_sent_away(&guests[sent]), "{sent}");
            guests.push(newcomer);
        }
        assert!(!is_sent_away(&guests[0]) && !is_sent_away(&guests[3]));
    }

    #[tokio::test]
    async fn an_address_loses_its_own_places_and_nobody_else_s() {
        let room = Room::new(100, 3);
        let others = room.enter(address("203.0.113.2")).unwrap();
        let hers: Vec<_> = (0..10)
            .map(|_| room.enter(address("203.0.113.1")).unwrap())
            .collect();
        assert_eq!(hers.iter().filter(|guest| is_sent_away(guest)).count(), 7);
        assert!(!is_sent_away(&others));
        let busy: Vec<_> = hers.iter().map(Guest::task).collect();
        assert!(room.enter(address("203.0.113.1")).is_none(), "nobody is idle");
        assert!(room.enter(address("203.0.113.2")).is_some());
        drop(busy);
        assert!(room.enter(address("203.0.113.1")).is_some());
    }

    #[tokio::test]
    async fn this_machine_has_no_share_of_its_own_and_no_more_than_the_room() {
        let room = Room::new(6, 2);
        let hers: Vec<_> = (0..20)
            .map(|_| room.enter(address("127.0.0.1")).unwrap())
            .collect();
        assert_eq!(hers.iter().filter(|guest| !is_sent_away(guest)).count(), 6);
        drop(hers);
        assert!(room.guests().all.is_empty() && room.guests().of.is_empty());
    }
}
