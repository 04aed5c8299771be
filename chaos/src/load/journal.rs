//! What clients asked and what they were told, kept outside the system: what was once answered must stay true.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

/// A request that may have been sent.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// What for, such as `transfer`.
    pub(crate) kind: &'static str,
    /// The wallet it is about, when it names one.
    pub(crate) wallet: Option<Uuid>,
    /// Cents, when it names them.
    pub(crate) cents: Option<i64>,
    /// The transaction that was answered.
    pub(crate) answered: Option<Uuid>,
    /// The code of a definite refusal.
    pub(crate) refused: Option<String>,
}

/// What a client saw of a transaction.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// The final status, once there was one.
    pub(crate) end: Option<String>,
    /// Who can see it.
    pub(crate) person: usize,
    /// Whether it is a deposit that its payer must pay.
    pub(crate) to_be_paid: bool,
    /// Whether the payer has done so.
    pub(crate) paid: bool,
}

/// A deposit that was paid.
#[derive(Debug, Clone)]
pub(crate) struct Paid {
    /// Its intent.
    pub(crate) intent: String,
    /// Its transaction.
    pub(crate) transaction: Uuid,
}

#[derive(Debug, Default)]
pub(crate) struct Book {
    /// By person and idempotency key.
    pub(crate) asked: HashMap<(Uuid, String), Asked>,
    /// By transaction, oldest first.
    pub(crate) seen: BTreeMap<Uuid, Seen>,
    /// Completed deposits with their intents.
    pub(crate) paid: Vec<Paid>,
    /// Completed payments: payee and transaction.
    pub(crate) payments: Vec<(usize, Uuid)>,
}

/// Shared by all clients.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Book>);

impl Journal {
    /// The book itself.
    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many accepted requests are not seen as final yet.
    pub(crate) fn unfinished(&self) -> usize {
        self.book()
            .seen
            .values()
            .filter(|seen| seen.end.is_none())
            .count()
    }

    /// So many accepted requests of one person are not seen as final yet.
    pub(crate) fn unfinished_of(&self, person: usize) -> usize {
        let book = self.book();
        let theirs = book.seen.values().filter(|seen| seen.person == person);
        theirs.filter(|seen| seen.end.is_none()).count()
    }

    /// So many requests have been accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.book().seen.len()
    }
}
