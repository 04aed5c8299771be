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
mod objects;
mod operations;
mod rows;
mod store;

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use uuid::Uuid;

pub use attempt::CallOutcome;
use attempt::{Attempt, AttemptState, LookUp, code_of, look_up};
pub use error::{CLOCKS_DIFFER, CallError};
use find::{Found, State};
use objects::Objects;
pub use operations::{Operation, StripeCall};
use rows::id_of;
pub use rows::{is_undecided, made};
use store::{ABSENT, Begun, CallStore};

use super::breaker::{Breakers, Lane};
use super::client::StripeClient;
use super::errors::{ErrorClass, StripeError};
use super::ticket::Ticket;
use super::types::StripeObject;
use crate::alarms::AlarmKind;
use crate::chaos::{self, Point};
use crate::clock::SharedClock;
use crate::crypto::Vault;
use crate::db::{Db, DbError};
use crate::ids::stripe::IdempotencyKey;
use crate::jobs::{Claim, LEASE};

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
#[derive(Clone)]
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

    /// Makes the call for `subject` (the transaction; the person for a customer), or finds that it was made.
    ///
    /// `claim` is the job's: a worker whose claim is void sends nothing any more, so whoever claimed the job after it can rely on
    /// what the rows of the calls say. The claim is extended when the try is counted, and the call is given up when that time is
    /// over, whether or not it was sent ([`Ticket`]).
    ///
    /// Hold no database transaction open meanwhile. Dropping the future leaves the outcome unknown, which the next run clears up.
    ///
    /// # Errors
    /// See [`CallError::disposition`] for what each asks for. After a decline of an intent confirmed by the server the error
    /// carries the intent, and the next run brings it.
    pub async fn run<C: StripeCall>(
        &self,
        claim: Claim,
        subject: Uuid,
        call: C,
    ) -> Result<Made<C::Object>, CallError> {
        self.make(Some(claim), subject, call).await
    }

    /// As [`StripeCalls::run`], of a call that `check` has to allow as long as nothing was sent for it: then only Stripe's answer decides.
    ///
    /// # Errors
    /// Those of [`StripeCalls::run`] and of `check`.
    pub async fn run_checked<C: StripeCall, E: From<CallError>>(
        &self,
        claim: Claim,
        subject: Uuid,
        call: C,
        check: impl AsyncFnOnce() -> Result<(), E>,
    ) -> Result<Made<C::Object>, E> {
        if !self.is_undecided(C::OPERATION, subject).await? {
            self.worth_asking(C::OPERATION, subject).await?;
            check().await?;
        }
        Ok(self.run(claim, subject, call).await?)
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

    /// As [`StripeCalls::run`], for a call that no job makes: a person waits for it.
    ///
    /// Two of them for one subject at once send the same key, so one object comes of it: the second run finds the object recorded, or
    /// ends with [`ErrorClass::InUse`].
    ///
    /// # Errors
    /// Those of [`StripeCalls::run`] but [`CallError::ClaimVoid`].
    pub async fn run_unclaimed<C: StripeCall>(
        &self,
        subject: Uuid,
        call: C,
    ) -> Result<Made<C::Object>, CallError> {
        self.make(None, subject, call).await
    }

    async fn make<C: StripeCall>(
        &self,
        claim: Option<Claim>,
        subject: Uuid,
        call: C,
    ) -> Result<Made<C::Object>, CallError> {
        let attempt = self
            .store
            .prepare(C::OPERATION, subject, &call, self.clock.now())
            .await?;
        if let AttemptState::Succeeded { object_id } = attempt.state {
            return recorded(&attempt.key, &object_id);
        }
        let now = self.clock.now();
        let look_up = look_up(&attempt, now, C::OPERATION.is_only_ours());
        if let Some((LookUp::Instead, since)) = look_up {
            if let Some(recorded) = self.find::<C>(subject, &attempt, since).await? {
                return Ok(recorded);
            }
            self.store.refused(&attempt.key, ABSENT, None, now).await?;
            return Err(CallError::MadeNothing);
        }
        if let Some((LookUp::Before, since)) = look_up {
            self.worth_asking(C::OPERATION, subject).await?;
            if let Some(recorded) = self.find::<C>(subject, &attempt, since).await? {
                return Ok(recorded);
            }
        }
        let stored: C = self.store.params(&attempt).await?;
        // Before the claim is looked at and the try is counted: while we wait here, nothing has been sent.
        let _alone = self.objects.alone(stored.touches()).await;
        let permit = self.breakers.permit(C::OPERATION.lane(), self.clock.now())?;
        // Before the claim is extended: what is counted from here ends earlier than the lease.
        let begun_at = Instant::now();
        let before = match self
            .store
            .begin_try(C::OPERATION, subject, claim, &attempt.key, self.clock.now())
            .await?
        {
            Begun::Try(before) => *before,
            Begun::Ended => return self.ended_meanwhile(&attempt.key).await,
            Begun::ClaimVoid => return Err(CallError::ClaimVoid),
            Begun::Stopped => return Err(CallError::MoneyOutStopped),
            Begun::WalletInactive => return Err(CallError::WalletInactive),
            Begun::CancelAsked => return Err(CallError::CancelAsked),
        };

        chaos::reach(Point::CallBeforeSend).await;
        let ticket = Ticket::new(
            attempt.key.clone(),
            begun_at.checked_add(LEASE).unwrap_or(begun_at),
        );
        if ticket.is_over() {
            // This process was stopped for so long that another worker may have taken the job over. Nothing was sent.
            return Err(CallError::ClaimVoid);
        }
        let may = self.may_send_again();
        let answer = self
            .client
            .send_again(may, || stored.send(&self.client, &ticket))
            .await;
        if answer.is_ok() {
            chaos::reach(Point::CallAnswered).await;
        }

        let now = self.clock.now();
        self.breakers
            .record(permit, answer.as_ref().err().map(|error| error.class), now);
        match answer {
            Ok(object) => {
                tracing::info!(key = %attempt.key, object = object.id().as_ref(), "made at Stripe");
                self.store
                    .succeeded(&attempt.key, object.id().as_ref(), None, None, now)
                    .await?;
                Ok(Made {
                    id: object.id().clone(),
                    answer: Some(object),
                })
            }
            Err(error) => {
                tracing::info!(key = %attempt.key, class = %error.class, code = error.code, request = error.request.id, "stripe call failed");
                self.failed::<C>(&before, &error, now).await?;
                Err(error.into())
            }
        }
    }

    /// Whether a call that is under way may be sent a second time: not while money-out is stopped, since the first request may have been lost.
    async fn may_send_again(&self) -> bool {
        self.store.may_leave().await.is_ok_and(|may| may)
    }

    /// Whether it is worth asking Stripe on behalf of a call: thousands may wait while money-out is stopped, and what was never sent need not
    /// wait when its owner has cancelled it or its wallet was deactivated. Whether the call is sent is decided where its try is counted.
    async fn worth_asking(&self, operation: Operation, subject: Uuid) -> Result<(), CallError> {
        if !operation.sends_money_out() || self.store.may_leave().await? {
            return Ok(());
        }
        if self.is_undecided(operation, subject).await? {
            return Err(CallError::MoneyOutStopped);
        }
        if self.store.is_to_be_cancelled(subject).await? {
            return Err(CallError::CancelAsked);
        }
        let is_over = operation.needs_active_wallet() && !self.store.is_active_for(subject).await?;
        Err(if is_over {
            CallError::WalletInactive
        } else {
            CallError::MoneyOutStopped
        })
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

    async fn failed<C: StripeCall>(
        &self,
        before: &Attempt,
        error: &StripeError,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        let request_id = error.request.id.as_deref();
        let code = code_of(error);
        if !error.class.ends_attempt() {
            let untouched = error.class.leaves_key_unused();
            return self
                .store
                .undecided(before, untouched, &code, request_id, now)
                .await;
        }
        match &error.payment_intent {
            // The payment failed, but the intent was made: another attempt would make a second one.
            Some(intent) if C::OPERATION == Operation::PaymentIntent => {
                self.store
                    .succeeded(&before.key, intent.id.as_str(), Some(&code), request_id, now)
                    .await
            }
            _ => self.store.refused(&before.key, &code, request_id, now).await,
        }
    }

    /// Another worker ended the attempt between our reading it and our try.
    async fn ended_meanwhile<T: StripeObject>(&self, key: &IdempotencyKey) -> Result<Made<T>, CallError> {
        match self.store.state(key).await? {
            Some(AttemptState::Succeeded { object_id }) => recorded(key, &object_id),
            // Refused: whoever was refused decides; this run comes again and finds what was decided.
            _ => Err(CallError::Stripe(StripeError::new(ErrorClass::InUse))),
        }
    }
}

/// What an earlier run has made.
fn recorded<T: StripeObject>(key: &IdempotencyKey, object_id: &str) -> Result<Made<T>, CallError> {
    let id = id_of(key, object_id)?;
    Ok(Made { id, answer: None })
}

impl fmt::Debug for StripeCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StripeCalls")
            .field("breakers", &self.breakers)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
