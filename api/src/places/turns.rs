//! Turns: how much of one process one person keeps busy at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wallet_core::ids::UserId;

use crate::errors::ApiError;

/// Most requests of one person that wait for a turn; more are refused.
const MOST_WAITING: usize = 500;
/// When it is worth another try, in seconds.
const AGAIN_AFTER: u64 = 1;

/// Lets a few requests of each person run at once. The others of that person wait, in their order, and nobody else does.
#[derive(Debug)]
pub(crate) struct Turns {
    at_once: usize,
    people: Mutex<HashMap<UserId, Person>>,
}

#[derive(Debug)]
struct Person {
    turns: Arc<Semaphore>,
    /// Those that run and those that wait.
    here: usize,
}

impl Turns {
    /// So many turns at once for each person.
    pub(crate) fn new(at_once: usize) -> Arc<Self> {
        Arc::new(Self {
            at_once,
            people: Mutex::default(),
        })
    }

    /// A turn of this person, after those who came before.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`] when too many wait already.
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
