//! What clients requested and what they were answered, kept outside the system: an answer once given must stay true.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

/// A request that may have been sent.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The kind of request, such as `transfer`.
    pub(crate) kind: &'static str,
    /// The wallet that it is about, if it names one.
    pub(crate) wallet: Option<Uuid>,
    /// The amount in cents, if it names one.
    pub(crate) cents: Option<i64>,
    /// The transaction in the answer.
    pub(crate) answered: Option<Uuid>,
    /// The code of a definite refusal.
    pub(crate) refused: Option<String>,
}

/// What a client saw of a transaction.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// The final status, once it was seen.
    pub(crate) end: Option<String>,
    /// The number of the person who can see it.
    pub(crate) person: usize,
    /// Whether it is a deposit that its payer must pay.
    pub(crate) to_be_paid: bool,
    /// Whether the payer has paid it.
    pub(crate) paid: bool,
}

/// A deposit that was paid.
#[derive(Debug, Clone)]
pub(crate) struct Paid {
    /// Its payment intent.
    pub(crate) intent: String,
    /// Its transaction id.
    pub(crate) transaction: Uuid,
}

#[derive(Debug, Default)]
pub(crate) struct Book {
    /// The requests, by person and idempotency key.
    pub(crate) asked: HashMap<(Uuid, String), Asked>,
    /// The transactions, oldest first.
    pub(crate) seen: BTreeMap<Uuid, Seen>,
    /// The completed deposits with their intents.
    pub(crate) paid: Vec<Paid>,
    /// The completed payments: payee and transaction.
    pub(crate) payments: Vec<(usize, Uuid)>,
}

/// The journal that all clients share.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Book>);

impl Journal {
    /// Locks the book.
    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many accepted requests have not been seen as final yet.
    pub(crate) fn unfinished(&self) -> usize {
        self.book()
            .seen
            .values()
            .filter(|seen| seen.end.is_none())
            .count()
    }

    /// Returns how many accepted requests of one person have not been seen as final yet.
    pub(crate) fn unfinished_of(&self, person: usize) -> usize {
        let book = self.book();
        let theirs = book.seen.values().filter(|seen| seen.person == person);
        theirs.filter(|seen| seen.end.is_none()).count()
    }

    /// Returns how many requests have been accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.book().seen.len()
    }
}
