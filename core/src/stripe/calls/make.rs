//! Making a creating call: looked up where its key can no longer tell, counted, sent once, and its outcome kept.

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use uuid::Uuid;

use super::attempt::{Attempt, AttemptState, LookUp, code_of, look_up};
use super::operations::{Operation, StripeCall};
use super::rows::id_of;
use super::store::{ABSENT, Begun};
use super::{CallError, Made, StripeCalls};
use crate::chaos::{self, Point};
use crate::db::DbError;
use crate::ids::stripe::IdempotencyKey;
use crate::jobs::{Claim, LEASE};
use crate::stripe::errors::{ErrorClass, StripeError};
use crate::stripe::ticket::Ticket;
use crate::stripe::types::StripeObject;

impl StripeCalls {
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
    pub(super) async fn ended_meanwhile<T: StripeObject>(
        &self,
        key: &IdempotencyKey,
    ) -> Result<Made<T>, CallError> {
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
