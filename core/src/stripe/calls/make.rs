//! Makes a creating call: looks up its object if the key no longer shows the outcome, counts the try, sends the call, and records the outcome.

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use uuid::Uuid;

use super::attempt::{Attempt, AttemptState, LookUp, code_of, look_up};
use super::operations::{Operation, StripeCall};
use super::rows::id_of;
use super::store::{ABSENT, Admission};
use super::{CallError, Made, StripeCalls};
use crate::db::DbError;
use crate::failpoints::{self, Point};
use crate::ids::stripe::CallKey;
use crate::jobs::{Claim, LEASE};
use crate::stripe::errors::{ErrorClass, StripeError};
use crate::stripe::ticket::Ticket;
use crate::stripe::types::StripeObject;

impl StripeCalls {
    /// Makes the call for `subject` (the transaction; the person for customers and accounts), or finds it made.
    ///
    /// `claim` is the claim on the job: a worker whose claim is void sends nothing, so the worker that claimed the job after it can rely on the
    /// rows of the calls. The claim is extended when the try is counted, and the call is abandoned when that time is over, whether or not it
    /// was sent ([`Ticket`]).
    ///
    /// The caller must hold no open database transaction. Dropping the future leaves the outcome unknown, which the next run resolves.
    ///
    /// # Errors
    /// [`CallError::disposition`] shows what each error asks for. If an intent confirmed by the server is declined, the error carries
    /// the intent, and the next run returns it.
    pub async fn run<C: StripeCall>(
        &self,
        claim: Claim,
        subject: Uuid,
        call: C,
    ) -> Result<Made<C::Object>, CallError> {
        self.make(Some(claim), subject, call).await
    }

    /// As [`StripeCalls::run`], but `check` must allow the call as long as nothing was sent for it; after that only Stripe's answer decides.
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

    /// As [`StripeCalls::run`], for a call that a person waits for and no job makes.
    ///
    /// Two such runs for one subject at the same time send the same key, so only one object is made: the second run finds the object recorded,
    /// or ends with [`ErrorClass::InUse`].
    ///
    /// # Errors
    /// Those of [`StripeCalls::run`] except [`CallError::ClaimVoid`].
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
        // Before the claim is checked and the try is counted: nothing has been sent while we wait here.
        let _alone = self.objects.alone(stored.touches()).await;
        let permit = self.breakers.permit(C::OPERATION.lane(), self.clock.now())?;
        // Before the claim is extended, so that the time measured from here ends before the lease does.
        let begun_at = Instant::now();
        let before = match self
            .store
            .begin_try(C::OPERATION, subject, claim, &attempt.key, self.clock.now())
            .await?
        {
            Admission::Try(before) => *before,
            Admission::Ended => return self.ended_meanwhile(&attempt.key).await,
            Admission::ClaimVoid => return Err(CallError::ClaimVoid),
            Admission::Stopped => return Err(CallError::MoneyOutStopped),
            Admission::WalletInactive => return Err(CallError::WalletInactive),
            Admission::CancelAsked => return Err(CallError::CancelAsked),
        };

        failpoints::reach(Point::CallBeforeSend).await;
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
            failpoints::reach(Point::CallAnswered).await;
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

    /// Returns whether a call under way may be sent a second time: not while money-out is stopped, since the first request may have been lost.
    async fn may_send_again(&self) -> bool {
        self.store.may_leave().await.is_ok_and(|may| may)
    }

    /// Checks whether a call is worth any request: thousands may wait while money-out is stopped, and one that was never sent need not wait if
    /// its owner has cancelled it or its wallet was deactivated. Whether it is sent is decided when its try is counted.
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
            // The payment failed, but the intent was made: another attempt would make a second intent.
            Some(intent) if C::OPERATION == Operation::PaymentIntent => {
                self.store
                    .succeeded(&before.key, intent.id.as_str(), Some(&code), request_id, now)
                    .await
            }
            _ => self.store.refused(&before.key, &code, request_id, now).await,
        }
    }

    /// Returns the outcome of an attempt that another worker ended after we had read it and before our try.
    pub(super) async fn ended_meanwhile<T: StripeObject>(&self, key: &CallKey) -> Result<Made<T>, CallError> {
        match self.store.state(key).await? {
            Some(AttemptState::Succeeded { object_id }) => recorded(key, &object_id),
            // Refused: the run that was refused decides what follows; this run is retried and finds the decision.
            _ => Err(CallError::Stripe(StripeError::new(ErrorClass::InUse))),
        }
    }
}

/// Returns the object that an earlier run has made.
fn recorded<T: StripeObject>(key: &CallKey, object_id: &str) -> Result<Made<T>, CallError> {
    let id = id_of(key, object_id)?;
    Ok(Made { id, answer: None })
}
