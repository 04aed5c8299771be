//! The only way to make a creating call: its key and parameters are committed before the first try.
//!
//! The key is `<operation>:<subject>:<attempt>`. While the outcome is unknown, every later run sends the same key with the stored parameters of
//! the row, whatever its caller passes, so that Stripe repeats its first answer and not the effect. A definite refusal ends the attempt; the next
//! run starts another one. When the key can no longer show what happened (Stripe forgets keys after 24 hours, and repeats a stored 500 for ever),
//! the run first looks for the object at Stripe ([`find`]). An object that is found is the outcome of the call; if there is none, the caller
//! decides again.

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
use find::{Candidate, CandidateState};
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

/// The object that a creating call has made.
#[derive(Debug)]
pub struct Made<T: StripeObject> {
    /// The object's id at Stripe.
    pub id: T::Id,
    /// The object, if Stripe has returned it in this run. One that an earlier run made may have changed since; [`StripeCalls::read`] fetches it.
    pub answer: Option<T>,
}

/// Who made an object at Stripe, according to the record of our calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// A call of ours made it.
    Us,
    /// A call of ours may have made it: the outcome of that call is not known yet.
    Undecided,
    /// No call of ours made it.
    Others,
}

/// Makes calls to Stripe and keeps the record of them.
#[derive(Debug, Clone)]
pub struct StripeCalls {
    store: CallStore,
    client: StripeClient,
    breakers: Arc<Breakers>,
    clock: SharedClock,
    objects: Arc<Objects>,
}

impl StripeCalls {
    /// Creates calls that use this client and are recorded in this database.
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

    /// Returns the client, for requests that create nothing; send them through [`StripeCalls::ask`].
    #[must_use]
    pub const fn client(&self) -> &StripeClient {
        &self.client
    }

    /// Returns the clock by which calls are dated.
    #[must_use]
    pub fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// Returns the breakers, for the code that resumes work.
    #[must_use]
    pub fn breakers(&self) -> &Breakers {
        &self.breakers
    }

    /// Sends Stripe a request that has no effect, or no further effect when repeated, under the lane's breaker.
    ///
    /// # Errors
    /// [`CallError::LaneClosed`] if the lane is paused, otherwise those of the client.
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

    /// Returns the object that a call has made, as it is now; `fetch` reads it from Stripe if an earlier run made it.
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

    /// Returns whether a call for `subject` has made its object, or may have been sent with an unknown outcome: then only Stripe's answer may decide.
    ///
    /// # Errors
    /// If the rows cannot be read.
    pub async fn is_undecided(&self, operation: Operation, subject: Uuid) -> Result<bool, CallError> {
        Ok(self.store.is_undecided(operation, subject).await?)
    }

    /// Returns whether a call for `subject` may have been sent and its outcome is not known.
    ///
    /// # Errors
    /// If the rows cannot be read.
    pub async fn is_unknown(&self, operation: Operation, subject: Uuid) -> Result<bool, CallError> {
        Ok(self.store.is_unknown(operation, subject).await?)
    }

    /// Returns the call for `subject` as it was sent, if its outcome is not known; making it again shows the outcome.
    ///
    /// # Errors
    /// If the rows cannot be read.
    pub async fn unknown<C: StripeCall>(&self, subject: Uuid) -> Result<Option<C>, CallError> {
        self.store.unknown(subject).await
    }

    /// Records that the call for `subject` has made this object, which the database lacks because it was restored from a backup:
    /// later runs return the object. An outcome that is recorded already stays.
    ///
    /// # Errors
    /// If the rows cannot be read or written.
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

    /// Returns the object at Stripe that this call made, whoever sent it, unless it was undone. A long list at Stripe is read back to `since`.
    ///
    /// # Errors
    /// Those of [`StripeCalls::ask`], and if the database cannot be reached.
    pub async fn find_what_left<C: StripeCall>(
        &self,
        subject: Uuid,
        call: &C,
        since: DateTime<Utc>,
    ) -> Result<Option<String>, CallError> {
        let mut found = self
            .ask(C::OPERATION.lane(), call.find(&self.client, since))
            .await?;
        found.retain(|found| found.state != CandidateState::Undone);
        self.own(subject, found).await
    }

    /// Looks for what an attempt that was sent at `since` or later has made at Stripe, and records it.
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
            // The refusal of the look-up is not a refusal of the call.
            Err(CallError::Stripe(error)) => return Err(CallError::NotFoundOut(error)),
            found => found?,
        };
        found.retain(|found| found.may_be_of(since));
        // Objects that another attempt made according to the record are accounted for already.
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

    /// Returns the call's own object among several that look alike: the first by [`CandidateState`] and then by age, since it did what was asked
    /// for. The others that are not undone have moved money as well: an alarm is raised for them.
    async fn own(&self, subject: Uuid, mut found: Vec<Candidate>) -> Result<Option<String>, CallError> {
        found.sort_by_key(|found| (found.state, found.created));
        let mut found = found.into_iter();
        let Some(own) = found.next() else { return Ok(None) };
        let others: Vec<String> = found
            .filter(|other| other.state != CandidateState::Undone)
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

    /// Returns whether the next call for `subject` sends the parameters that an earlier run stored, whatever its caller passes.
    ///
    /// # Errors
    /// If the rows cannot be read.
    pub async fn is_prepared(&self, operation: Operation, subject: Uuid) -> Result<bool, CallError> {
        Ok(self.store.is_prepared(operation, subject).await?)
    }

    /// Returns who made `object_id`, which claims to have been made by this operation for `subject`. What an object says about itself, such as
    /// its metadata, proves nothing: others can write it.
    ///
    /// # Errors
    /// If the rows cannot be read.
    pub async fn author(
        &self,
        operation: Operation,
        subject: Uuid,
        object_id: &str,
    ) -> Result<Author, CallError> {
        Ok(self.store.author(operation, subject, object_id).await?)
    }

    /// Records that the object which a call made no longer exists at Stripe: the next run for `subject` makes another one. If several runs find the
    /// same object gone, the later ones change nothing.
    ///
    /// # Errors
    /// If the row cannot be written.
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
