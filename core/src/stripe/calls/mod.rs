//! The only way a creating call is made: its key and parameters are committed before the first try.
//!
//! The key is `<operation>:<subject>:<attempt>`. While the outcome is unknown, every later run sends the same key with the
//! parameters of the row, whatever its caller brings, so that Stripe repeats its first answer instead of its effect. A definite
//! refusal ends the attempt; the next run starts another. When the key can no longer tell what happened (Stripe forgets keys
//! after 24 hours and repeats a stored 500 for ever), the run looks for the object at Stripe first ([`find`]): what it finds is the call's
//! outcome, and if there is nothing, whoever asked decides anew.

mod attempt;
mod error;
mod find;
mod make;
mod objects;
mod operations;
mod rows;
mod store;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use attempt::Attempt;
pub use attempt::CallOutcome;
pub use error::{CLOCKS_DIFFER, CallError};
use find::{Found, State};
use objects::Objects;
pub use operations::{Operation, StripeCall};
pub(crate) use rows::may_have_sent;
pub use rows::{is_undecided, made};
use store::CallStore;

use super::breaker::{Breakers, Lane};
use super::client::StripeClient;
use super::errors::StripeError;
use super::types::StripeObject;
use crate::alarms::AlarmKind;
use crate::clock::SharedClock;
use crate::crypto::Vault;
use crate::db::Db;

/// What a creating call has made.
#[derive(Debug)]
pub struct Made<T: StripeObject> {
    /// Its id at Stripe.
    pub id: T::Id,
    /// The object, if Stripe has answered with it now. One that an earlier run has made may have changed since; [`StripeCalls::read`] fetches it.
    pub answer: Option<T>,
}

/// Who made an object at Stripe, by the record of our calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// A call of ours has brought it.
    Us,
    /// A call of ours may have made it: its outcome is not known yet.
    Undecided,
    /// No call of ours has made it.
    Others,
}

/// Makes calls to Stripe and keeps their records.
#[derive(Debug, Clone)]
pub struct StripeCalls {
    store: CallStore,
    client: StripeClient,
    breakers: Arc<Breakers>,
    clock: SharedClock,
    objects: Arc<Objects>,
}

impl StripeCalls {
    /// Calls by this client, kept in this database.
    #[must_use]
    pub fn new(
        db: Db,
        vault: Arc<Vault>,
        client: StripeClient,
        breakers: Arc<Breakers>,
        clock: SharedClock,
    ) -> Self {
        Self {
            store: CallStore::new(db, vault),
            client,
            breakers,
            clock,
            objects: Arc::default(),
        }
    }

    /// The client, for questions that create nothing; ask them through [`StripeCalls::ask`].
    #[must_use]
    pub const fn client(&self) -> &StripeClient {
        &self.client
    }

    /// The clock that its calls are dated by.
    #[must_use]
    pub fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// The breakers, for whoever lets work resume.
    #[must_use]
    pub fn breakers(&self) -> &Breakers {
        &self.breakers
    }

    /// Asks Stripe something that has no effect, or none when repeated, under the lane's breaker.
    ///
    /// # Errors
    /// [`CallError::LaneClosed`] when the lane is paused, else those of the client.
    pub async fn ask<T>(
        &self,
        lane: Lane,
        question: impl Future<Output = Result<T, StripeError>>,
    ) -> Result<T, CallError> {
        let permit = self.breakers.permit(lane, self.clock.now())?;
        let answer = question.await;
        self.breakers.record(
            permit,
            answer.as_ref().err().map(|error| error.class),
            self.clock.now(),
        );
        Ok(answer?)
    }

    /// The object that a call has made, as it is now; `fetch` asks Stripe for it when an earlier run has made it.
    ///
    /// # Errors
    /// Those of [`StripeCalls::ask`].
    pub async fn read<T: StripeObject>(
        &self,
        lane: Lane,
        made: Made<T>,
        fetch: impl AsyncFnOnce(&StripeClient, &T::Id) -> Result<T, StripeError>,
    ) -> Result<T, CallError> {
        match made.answer {
            Some(object) => Ok(object),
            None => self.ask(lane, fetch(&self.client, &made.id)).await,
        }
    }

    /// Whether a call for `subject` may have been sent and its outcome is not known, or has made its object: then only Stripe's answer may decide.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub async fn is_undecided(&self, operation: Operation, subject: Uuid) -> Result<bool, CallError> {
        Ok(self.store.is_undecided(operation, subject).await?)
    }

    /// Whether a call for `subject` may have been sent and its outcome is not known.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub async fn is_unknown(&self, operation: Operation, subject: Uuid) -> Result<bool, CallError> {
        Ok(self.store.is_unknown(operation, subject).await?)
    }

    /// The call for `subject` as it was sent, when it may have been and its outcome is not known: making it again tells.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub async fn unknown<C: StripeCall>(&self, subject: Uuid) -> Result<Option<C>, CallError> {
        self.store.unknown(subject).await
    }

    /// Says that the call for `subject` has made this object, of which these books know nothing, because they are those of a restored backup:
    /// later runs bring it. What is recorded already stays.
    ///
    /// # Errors
    /// When the rows cannot be read or written.
    pub async fn adopt<C: StripeCall>(
        &self,
        subject: Uuid,
        call: &C,
        object_id: &str,
    ) -> Result<(), CallError> {
        let now = self.clock.now();
        let attempt = self.store.prepare(C::OPERATION, subject, call, now).await?;
        Ok(self.store.found(&attempt.key, object_id, now).await?)
    }

    /// What has left by this call, whoever has sent it, as Stripe tells it. `since`: where Stripe's list is long, it is read back to then.
    ///
    /// # Errors
    /// Those of [`StripeCalls::ask`], and when the database cannot be reached.
    pub async fn find_what_left<C: StripeCall>(
        &self,
        subject: Uuid,
        call: &C,
        since: DateTime<Utc>,
    ) -> Result<Option<String>, CallError> {
        let mut found = self
            .ask(C::OPERATION.lane(), call.find(&self.client, since))
            .await?;
        found.retain(|found| found.state != State::Undone);
        self.own(subject, found).await
    }

    /// Asks Stripe what an attempt that was sent at `since` or later has made, and writes it down.
    async fn find<C: StripeCall>(
        &self,
        subject: Uuid,
        attempt: &Attempt,
        since: DateTime<Utc>,
    ) -> Result<Option<Made<C::Object>>, CallError> {
        if !C::OPERATION.can_be_found() {
            tracing::warn!(key = %attempt.key, "the outcome of a call stays unknown; it is made again");
            return Ok(None);
        }
        let sent: C = self.store.params(attempt).await?;
        let question = sent.find(&self.client, since);
        let mut found = match self.ask(C::OPERATION.lane(), question).await {
            // A refusal of the question is none of the call.
            Err(CallError::Stripe(error)) => return Err(CallError::NotFoundOut(error)),
            found => found?,
        };
        found.retain(|found| found.may_be_of(since));
        // What another attempt has made by the record is known already.
        let ids: Vec<&str> = found.iter().map(|found| found.id.as_str()).collect();
        let known = self.store.of_other_attempts(&attempt.key, &ids).await?;
        found.retain(|found| !known.contains(&found.id));
        let Some(object_id) = self.own(subject, found).await? else {
            tracing::info!(key = %attempt.key, "nothing was made by it at Stripe");
            return Ok(None);
        };
        tracing::info!(key = %attempt.key, object_id, "found at Stripe");
        let now = self.clock.now();
        self.store.found(&attempt.key, &object_id, now).await?;
        self.ended_meanwhile(&attempt.key).await.map(Some)
    }

    /// Of several that look alike the one that is done, or the first, is the call's own: it has what was asked for. A person is told of the
    /// others, whose money has left as well.
    async fn own(&self, subject: Uuid, mut found: Vec<Found>) -> Result<Option<String>, CallError> {
        found.sort_by_key(|found| (found.state, found.created));
        let mut found = found.into_iter();
        let Some(own) = found.next() else { return Ok(None) };
        let others: Vec<String> = found
            .filter(|other| other.state != State::Undone)
            .map(|other| other.id)
            .collect();
        if !others.is_empty() {
            let message = format!(
                "{} was made for {subject} at Stripe as well as {}, which is taken for its own: find out who made it, and take it back if that is possible",
                others.join(", "),
                own.id
            );
            let now = self.clock.now();
            self.store
                .raise(AlarmKind::MadeTwice, &subject.to_string(), &message, now)
                .await?;
        }
        Ok(Some(own.id))
    }

    /// Whether the next call for `subject` sends the parameters that an earlier run has stored, whatever its caller brings.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub async fn is_prepared(&self, operation: Operation, subject: Uuid) -> Result<bool, CallError> {
        Ok(self.store.is_prepared(operation, subject).await?)
    }

    /// Who made `object_id`, which claims to be made by this operation for `subject`. What an object says of itself, such as its metadata,
    /// proves nothing: others can write there.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub async fn author(
        &self,
        operation: Operation,
        subject: Uuid,
        object_id: &str,
    ) -> Result<Author, CallError> {
        Ok(self.store.author(operation, subject, object_id).await?)
    }

    /// Says that the object which a call made is gone at Stripe: the next run for `subject` makes another one. Of several who find the same
    /// object gone, the later ones change nothing.
    ///
    /// # Errors
    /// When the row cannot be written.
    pub async fn forget(
        &self,
        operation: Operation,
        subject: Uuid,
        object_id: &str,
    ) -> Result<(), CallError> {
        let now = self.clock.now();
        Ok(self.store.gone(operation, subject, object_id, now).await?)
    }
}

#[cfg(test)]
mod tests;
