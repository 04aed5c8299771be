//! When each row is read, and who is notified.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Found, Told};

/// The minimum pause between two reads of one row: a wallet that hundreds pay into changes more often than anybody can read.
const LEAST_PAUSE: Duration = Duration::from_millis(50);
/// The pause after a read that failed.
pub(super) const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// The watched rows, their watchers, and the order of the reads.
pub(super) struct Schedule<R> {
    poll: Duration,
    rows: HashMap<Uuid, Row<R>>,
    order: BTreeSet<(Instant, Uuid)>,
}

struct Row<R> {
    told: watch::Sender<Option<Told<R>>>,
    watchers: usize,
    /// When it is read next; `None` while a read is under way.
    due: Option<Instant>,
    last_read: Option<Instant>,
    /// How many reads of it have begun.
    reads: u64,
}

impl<R> Schedule<R> {
    pub(super) fn new(poll: Duration) -> Self {
        Self {
            poll,
            rows: HashMap::new(),
            order: BTreeSet::new(),
        }
    }

    /// Adds a watcher. Returns its receiver, and the number of the first read that begins after this: one under way may find less.
    pub(super) fn join(&mut self, id: Uuid, now: Instant) -> (watch::Receiver<Option<Told<R>>>, u64) {
        let row = self.rows.entry(id).or_insert_with(|| Row {
            told: watch::Sender::new(None),
            watchers: 0,
            due: None,
            last_read: None,
            reads: 0,
        });
        row.watchers += 1;
        let joined = (row.told.subscribe(), row.reads + 1);
        self.read_at(id, now);
        joined
    }

    /// Removes a watcher of a row and returns whether it was the last.
    pub(super) fn leave(&mut self, id: Uuid) -> bool {
        let Some(row) = self.rows.get_mut(&id) else {
            return true;
        };
        row.watchers = row.watchers.saturating_sub(1);
        let is_alone = row.watchers == 0;
        if is_alone && let Some(Row { due: Some(due), .. }) = self.rows.remove(&id) {
            self.order.remove(&(due, id));
        }
        is_alone
    }

    /// Plans a read of a row at this instant, or earlier if that was planned, but not too soon after the last read.
    pub(super) fn read_at(&mut self, id: Uuid, at: Instant) {
        let Some(row) = self.rows.get_mut(&id) else { return };
        let at = row.last_read.map_or(at, |last| at.max(last + LEAST_PAUSE));
        if let Some(due) = row.due {
            if due <= at {
                return;
            }
            self.order.remove(&(due, id));
        }
        row.due = Some(at);
        self.order.insert((at, id));
    }

    /// Takes the rows that are due, the longest waiting first. If none is due, returns the instant at which the next one is.
    pub(super) fn take_due(&mut self, now: Instant, most: usize) -> Result<Vec<Uuid>, Option<Instant>> {
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some((due, id)) = self.order.first().copied()
            && due <= now
        {
            self.order.remove(&(due, id));
            if let Some(row) = self.rows.get_mut(&id) {
                row.due = None;
                row.last_read = Some(now);
                row.reads += 1;
            }
            taken.push(id);
        }
        if taken.is_empty() {
            Err(self.order.first().map(|(due, _)| *due))
        } else {
            Ok(taken)
        }
    }

    /// Notifies the watchers of a row of what was found, and plans the next read.
    pub(super) fn tell(&mut self, id: Uuid, found: Found<R>, now: Instant) {
        if let Some(row) = self.rows.get_mut(&id) {
            let read = row.reads;
            row.told.send_replace(Some(Told { read, found }));
            if row.due.is_none() {
                let due = now + self.poll;
                row.due = Some(due);
                self.order.insert((due, id));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLL: Duration = Duration::from_secs(2);

    fn ids(schedule: &mut Schedule<u8>, now: Instant) -> Vec<u128> {
        let taken = schedule.take_due(now, 10).unwrap_or_default();
        taken.into_iter().map(|id| id.as_u128()).collect()
    }

    #[test]
    fn a_row_is_read_once_however_many_watch_it() {
        let mut schedule = Schedule::<u8>::new(POLL);
        let (id, now) = (Uuid::from_u128(1), Instant::now());
        let mut watchers: Vec<_> = (0..1_000).map(|_| schedule.join(id, now)).collect();
        assert_eq!(ids(&mut schedule, now), [1]);
        assert!(ids(&mut schedule, now + POLL).is_empty(), "a read is under way");
        schedule.tell(id, Ok(None), now);
        assert!(watchers.iter_mut().all(|(told, _)| told.has_changed().unwrap()));
        assert!(ids(&mut schedule, now + POLL / 2).is_empty());
        assert_eq!(ids(&mut schedule, now + POLL), [1]);
        assert!((1..1_000).all(|_| !schedule.leave(id)));
        assert!(schedule.leave(id));
        assert!(schedule.rows.is_empty() && schedule.order.is_empty());
    }

    #[test]
    fn news_are_read_soon_but_not_more_often_than_anybody_can_read() {
        let mut schedule = Schedule::<u8>::new(POLL);
        let (id, now) = (Uuid::from_u128(1), Instant::now());
        let (told, _) = schedule.join(id, now);
        assert_eq!(ids(&mut schedule, now), [1]);
        schedule.read_at(id, now);
        assert!(ids(&mut schedule, now).is_empty());
        schedule.tell(id, Ok(None), now);
        assert!(told.has_changed().unwrap());
        assert_eq!(
            ids(&mut schedule, now + LEAST_PAUSE),
            [1],
            "the news that came meanwhile"
        );
    }

    #[test]
    fn who_joins_waits_for_a_read_of_their_own() {
        let mut schedule = Schedule::<u8>::new(Duration::from_secs(3_600));
        let (id, now) = (Uuid::from_u128(1), Instant::now());
        let _first = schedule.join(id, now);
        assert_eq!(ids(&mut schedule, now), [1]);
        schedule.tell(id, Ok(None), now);
        let (second, _) = schedule.join(id, now + POLL);
        assert!(!second.has_changed().unwrap(), "what was seen before is old");
        assert_eq!(ids(&mut schedule, now + POLL), [1]);
        schedule.tell(id, Ok(None), now + POLL);
        assert!(second.has_changed().unwrap());
    }

    #[test]
    fn who_joins_while_a_read_is_under_way_waits_for_the_next_one() {
        let mut schedule = Schedule::<u8>::new(Duration::from_secs(3_600));
        let (id, now) = (Uuid::from_u128(1), Instant::now());
        let (_first, _) = schedule.join(id, now);
        assert_eq!(ids(&mut schedule, now), [1]);
        let (second, first_read) = schedule.join(id, now);
        // Also if all other watchers leave in the meantime.
        schedule.leave(id);
        schedule.tell(id, Ok(None), now);
        let read = |told: &watch::Receiver<Option<Told<u8>>>| told.borrow().as_ref().map(|told| told.read);
        assert!(read(&second).unwrap() < first_read, "it began before");
        assert_eq!(ids(&mut schedule, now + LEAST_PAUSE), [1]);
        schedule.tell(id, Ok(None), now + LEAST_PAUSE);
        assert_eq!(read(&second), Some(first_read));
        // The same for a row that was forgotten and is watched again.
        assert_eq!(ids(&mut schedule, now + Duration::from_secs(7_200)), [1]);
        assert!(schedule.leave(id));
        let (third, first_read) = schedule.join(id, now);
        schedule.tell(id, Ok(None), now);
        assert!(read(&third).unwrap() < first_read);
    }
}
