//! Turns: how much of one process a person may keep busy at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wallet_core::ids::UserId;

use crate::errors::ApiError;

/// The maximum number of requests of one person that wait for a turn; further ones are refused.
const MOST_WAITING: usize = 500;
/// After how many seconds a retry is worthwhile.
const AGAIN_AFTER: u64 = 1;

/// Runs a few requests of each person at once. That person's further requests wait in order, and delay nobody else's.
#[derive(Debug)]
pub(crate) struct Turns {
    at_once: usize,
    people: Mutex<HashMap<UserId, Person>>,
}

#[derive(Debug)]
struct Person {
    turns: Arc<Semaphore>,
    /// How many of the person's requests run or wait.
    here: usize,
}

impl Turns {
    /// Creates turns of which each person may have `at_once` at a time.
    pub(crate) fn new(at_once: usize) -> Arc<Self> {
        Arc::new(Self {
            at_once,
            people: Mutex::default(),
        })
    }

    /// Waits for a turn of this person, after the requests that came before.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`] if too many wait already.
    pub(crate) async fn take(self: &Arc<Self>, person: UserId) -> Result<Turn, ApiError> {
        let (turns, here) = self.come(person)?;
        let permit = turns.acquire_owned().await.map_err(ApiError::internal)?;
        Ok(Turn {
            _permit: permit,
            _here: here,
        })
    }

    fn come(self: &Arc<Self>, person: UserId) -> Result<(Arc<Semaphore>, Here), ApiError> {
        let mut people = self.people();
        let known = people.entry(person).or_insert_with(|| Person {
            turns: Arc::new(Semaphore::new(self.at_once)),
            here: 0,
        });
        if known.here >= self.at_once + MOST_WAITING {
            return Err(ApiError::RateLimited {
                retry_after: AGAIN_AFTER,
            });
        }
        known.here += 1;
        let here = Here {
            turns: Arc::clone(self),
            person,
        };
        Ok((Arc::clone(&known.turns), here))
    }

    fn people(&self) -> MutexGuard<'_, HashMap<UserId, Person>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
    _here: Here,
}

#[derive(Debug)]
struct Here {
    turns: Arc<Turns>,
    person: UserId,
}

impl Drop for Here {
    fn drop(&mut self) {
        let mut people = self.turns.people();
        if let Some(person) = people.get_mut(&self.person) {
            person.here = person.here.saturating_sub(1);
            if person.here == 0 {
                people.remove(&self.person);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use uuid::Uuid;

    use super::*;

    fn person(number: u128) -> UserId {
        UserId::from_uuid(Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn whoever_has_their_turns_waits_for_their_own_and_others_do_not() {
        let turns = Turns::new(2);
        let (first, _second) = (
            turns.take(person(1)).await.unwrap(),
            turns.take(person(1)).await.unwrap(),
        );
        let mut third = Box::pin(turns.take(person(1)));
        assert!((&mut third).now_or_never().is_none());
        assert!(turns.take(person(2)).now_or_never().is_some());
        drop(first);
        assert!(third.await.is_ok());
    }

    #[tokio::test]
    async fn the_queue_of_a_person_ends_and_is_forgotten() {
        let turns = Turns::new(1);
        let running = turns.take(person(1)).await.unwrap();
        let mut waiting: Vec<_> = (0..MOST_WAITING)
            .map(|_| Box::pin(turns.take(person(1))))
            .collect();
        assert!(waiting.iter_mut().all(|turn| turn.now_or_never().is_none()));
        assert!(matches!(
            turns.take(person(1)).await,
            Err(ApiError::RateLimited { retry_after: 1 })
        ));
        drop(waiting);
        drop(running);
        assert!(turns.people().is_empty());
    }
}
