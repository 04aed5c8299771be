//! Counted places, of which one holder gets only a share.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A number of places in total, and a maximum for one holder.
#[derive(Debug)]
pub(crate) struct Shares<K> {
    most: usize,
    most_of_one: usize,
    held: Mutex<Held<K>>,
}

#[derive(Debug)]
struct Held<K> {
    all: usize,
    of: HashMap<K, usize>,
}

/// The reason why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// All places are taken.
    ForEverybody,
    /// This holder has its full share.
    ForOne,
}

impl<K: Copy + Eq + Hash> Shares<K> {
    /// Creates `most` places, of which one holder may have `most_of_one`.
    pub(crate) fn new(most: usize, most_of_one: usize) -> Arc<Self> {
        let held = Held {
            all: 0,
            of: HashMap::new(),
        };
        Arc::new(Self {
            most,
            most_of_one,
            held: Mutex::new(held),
        })
    }

    /// Takes a place for this holder.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn take(self: &Arc<Self>, holder: K) -> Result<Share<K>, Full> {
        let mut held = self.held();
        if held.of.get(&holder).copied().unwrap_or_default() >= self.most_of_one {
            return Err(Full::ForOne);
        }
        if held.all >= self.most {
            return Err(Full::ForEverybody);
        }
        held.all += 1;
        *held.of.entry(holder).or_default() += 1;
        Ok(Share {
            of: Arc::clone(self),
            holder,
        })
    }

    fn held(&self) -> MutexGuard<'_, Held<K>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One place, held until it is dropped.
#[derive(Debug)]
pub(crate) struct Share<K: Copy + Eq + Hash> {
    of: Arc<Shares<K>>,
    holder: K,
}

impl<K: Copy + Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut held = self.of.held();
        held.all = held.all.saturating_sub(1);
        if let Some(count) = held.of.get_mut(&self.holder) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                held.of.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_their_share_gets_no_more_and_others_still_do() {
        let shares = Shares::new(5, 3);
        let mut hers: Vec<_> = (0..3).map(|_| shares.take('a').unwrap()).collect();
        assert_eq!(shares.take('a').unwrap_err(), Full::ForOne);
        let _his = [shares.take('b').unwrap(), shares.take('b').unwrap()];
        assert_eq!(shares.take('b').unwrap_err(), Full::ForEverybody);
        hers.pop();
        assert!(shares.take('b').is_ok(), "a place that was given back");
    }

    #[test]
    fn holders_that_left_are_forgotten() {
        let shares = Shares::new(10, 3);
        for holder in 0..1_000 {
            drop(shares.take(holder).unwrap());
        }
        assert!(shares.held().of.is_empty() && shares.held().all == 0);
    }
}
