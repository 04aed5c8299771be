//! The rows of `stripe_calls`. No method keeps a database transaction open while a request is sent to Stripe.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, SelectableHelper};
use diesel_async::RunQueryDsl;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::attempt::{Attempt, AttemptState, CallOutcome, Row, TABLE};
use super::operations::{Operation, StripeCall};
use super::rows::{begun_at, is_undecided, latest};
use super::{Author, CallError};
use crate::alarms::{self, AlarmKind};
use crate::crypto::{KeyOwner, Place, Vault};
use crate::db::schema::stripe_calls;
use crate::db::{Db, DbError, in_transaction};
use crate::ids::stripe::CallKey;
use crate::jobs::{self, Claim};
use crate::money_out;
use crate::transactions;
use crate::wallets;

/// How often another worker may overtake us while we prepare a row.
const RACES: u32 = 5;

/// The maximum length of an `error_code` in its column.
const LONGEST_CODE: usize = 64;

/// The result of a request to count a try.
pub(super) enum Admission {
    /// The try is counted; contains the attempt as it was before.
    Try(Box<Attempt>),
    /// The attempt has ended in the meantime.
    Ended,
    /// The job was claimed by another worker.
    ClaimVoid,
    /// Money-out is stopped.
    Stopped,
    /// The wallet was deactivated, and nothing has been sent for the transaction.
    WalletInactive,
    /// The transaction is to be cancelled, and nothing has been sent for it.
    CancelAsked,
}

/// The rows, and the vault that encrypts their parameters.
#[derive(Debug, Clone)]
pub(super) struct CallStore {
    db: Db,
    vault: Arc<Vault>,
}

impl CallStore {
    pub(super) const fn new(db: Db, vault: Arc<Vault>) -> Self {
        Self { db, vault }
    }

    /// Returns the attempt to continue: the open or the successful one if there is one, otherwise a new one with these parameters.
    pub(super) async fn prepare<C: StripeCall>(
        &self,
        operation: Operation,
        subject: Uuid,
        params: &C,
        now: DateTime<Utc>,
    ) -> Result<Attempt, CallError> {
        for _ in 0..RACES {
            let number = match self.latest(operation, subject).await? {
                None => 1,
                Some(attempt) if attempt.state == AttemptState::Refused => attempt.number.saturating_add(1),
                Some(mut attempt) => {
                    let begun = self.possible_since(operation, subject, attempt.number).await?;
                    attempt.possible_since =
                        begun.map_or(attempt.possible_since, |begun| begun.min(attempt.possible_since));
                    return Ok(attempt);
                }
            };
            // The first insertion, ours or another worker's, decides the parameters: read back what is stored.
            self.insert(operation, subject, number, params, now).await?;
        }
        Err(DbError::inconsistent(TABLE, "outcome", format!("{}:{subject}", operation.as_str())).into())
    }

    /// Returns the parameters that every try of this attempt sends.
    pub(super) async fn params<C: StripeCall>(&self, attempt: &Attempt) -> Result<C, CallError> {
        let sealed = attempt
            .params
            .as_ref()
            .ok_or_else(|| DbError::inconsistent(TABLE, "encrypted_params", &attempt.key))?;
        let text = self.vault.open(&place(&attempt.key), sealed).await?;
        serde_json::from_str(text.expose_secret()).map_err(CallError::Params)
    }

    /// Returns whether money may be sent out now. This only saves requests to Stripe; [`CallStore::begin_try`] decides whether a call is sent.
    pub(super) async fn may_leave(&self) -> Result<bool, DbError> {
        Ok(money_out::state(&self.db).await?.is_open)
    }

    /// Returns whether a cancellation of the transaction was requested while it holds its money.
    pub(super) async fn is_to_be_cancelled(&self, transaction: Uuid) -> Result<bool, DbError> {
        transactions::is_to_be_cancelled(&mut *self.db.conn().await?, transaction).await
    }

    /// Returns whether the wallet of a transaction is active.
    pub(super) async fn is_active_for(&self, transaction: Uuid) -> Result<bool, DbError> {
        wallets::is_active_for(&mut *self.db.conn().await?, transaction).await
    }

    /// Counts a try before it is sent, unless it must not be sent; [`Admission`] states why not.
    pub(super) async fn begin_try(
        &self,
        operation: Operation,
        subject: Uuid,
        claim: Option<Claim>,
        key: &CallKey,
        now: DateTime<Utc>,
    ) -> Result<Admission, DbError> {
        in_transaction!(self.db, conn => {
            // The switch is locked until the try is counted, so that no try is counted after a stop.
            let may_leave = !operation.sends_money_out() || money_out::may_leave(conn).await?;
            // The claim is locked, so that no other worker can claim the job between this check and the count, and extended, so that none can while
            // the call is sent.
            if let Some(claim) = claim
                && !jobs::extend(conn, claim).await?
            {
                return Ok(Admission::ClaimVoid);
            }
            let row: Option<Row> = stripe_calls::table
                .find(key.as_str())
                .filter(stripe_calls::outcome.eq_any(CallOutcome::OPEN))
                .select(Row::as_select())
                .for_no_key_update()
                .first(conn)
                .await
                .optional()?;
            let Some(row) = row else { return Ok(Admission::Ended) };
            let before = Attempt::try_from(row)?;
            // A call that may have been sent is sent again: only Stripe's answer decides about it.
            if before.state == AttemptState::Prepared
                && operation.needs_active_wallet()
                && !wallets::is_active_for(conn, subject).await?
            {
                return Ok(Admission::WalletInactive);
            }
            if before.state == AttemptState::Prepared && transactions::is_to_be_cancelled(conn, subject).await? {
                return Ok(Admission::CancelAsked);
            }
            if !may_leave {
                return Ok(Admission::Stopped);
            }
            diesel::update(stripe_calls::table.find(key.as_str()))
                .set((
                    stripe_calls::outcome.eq(CallOutcome::Unknown),
                    stripe_calls::tries.eq(stripe_calls::tries + 1),
                    stripe_calls::first_tried_at.eq(before.first_tried_at.unwrap_or(now)),
                    stripe_calls::updated_at.eq(now),
                ))
                .execute(conn)
                .await?;
            Ok(Admission::Try(Box::new(before)))
        })
    }

    /// Records that the call made this object. Stripe's answer is final: a refusal that it overrides was wrong.
    pub(super) async fn succeeded(
        &self,
        key: &CallKey,
        object_id: &str,
        code: Option<&str>,
        request_id: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        if self.state(key).await? == Some(AttemptState::Refused) {
            tracing::error!(%key, object_id, "a call recorded as refused made an object: a second attempt may have made another");
        }
        diesel::update(stripe_calls::table.find(key.as_str()))
            .set((
                stripe_calls::outcome.eq(CallOutcome::Succeeded),
                stripe_calls::stripe_object_id.eq(object_id),
                stripe_calls::stripe_request_id.eq(request_id),
                stripe_calls::error_code.eq(code.map(short)),
                stripe_calls::encrypted_params.eq(None::<String>),
                stripe_calls::updated_at.eq(now),
            ))
            .execute(&mut self.db.conn().await?)
            .await?;
        Ok(())
    }

    /// Records that a look-up found the object of an open attempt; one that has ended in the meantime stays as it is.
    pub(super) async fn found(
        &self,
        key: &CallKey,
        object_id: &str,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        let open = stripe_calls::table
            .find(key.as_str())
            .filter(stripe_calls::outcome.eq_any(CallOutcome::OPEN));
        diesel::update(open)
            .set((
                stripe_calls::outcome.eq(CallOutcome::Succeeded),
                stripe_calls::stripe_object_id.eq(object_id),
                stripe_calls::encrypted_params.eq(None::<String>),
                stripe_calls::updated_at.eq(now),
            ))
            .execute(&mut self.db.conn().await?)
            .await?;
        Ok(())
    }

    /// Records that the call made nothing and never will.
    pub(super) async fn refused(
        &self,
        key: &CallKey,
        code: &str,
        request_id: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        diesel::update(
            stripe_calls::table
                .find(key.as_str())
                .filter(stripe_calls::outcome.eq_any(CallOutcome::OPEN)),
        )
        .set((
            stripe_calls::outcome.eq(CallOutcome::Refused),
            stripe_calls::stripe_request_id.eq(request_id),
            stripe_calls::error_code.eq(short(code)),
            stripe_calls::encrypted_params.eq(None::<String>),
            stripe_calls::updated_at.eq(now),
        ))
        .execute(&mut self.db.conn().await?)
        .await?;
        Ok(())
    }

    /// Records that the object that the call made is gone: another attempt may follow. The row keeps the object's id.
    pub(super) async fn gone(
        &self,
        operation: Operation,
        subject: Uuid,
        object_id: &str,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        let made = stripe_calls::table
            .filter(stripe_calls::operation.eq(operation))
            .filter(stripe_calls::subject_id.eq(subject))
            .filter(stripe_calls::outcome.eq(CallOutcome::Succeeded))
            .filter(stripe_calls::stripe_object_id.eq(object_id));
        diesel::update(made)
            .set((
                stripe_calls::outcome.eq(CallOutcome::Refused),
                stripe_calls::error_code.eq("object_gone"),
                stripe_calls::updated_at.eq(now),
            ))
            .execute(&mut self.db.conn().await?)
            .await?;
        Ok(())
    }

    /// Records that the outcome stays open. If the try is certain to have changed nothing at Stripe, the row returns to its state before the
    /// try, unless another try has begun in the meantime.
    pub(super) async fn undecided(
        &self,
        before: &Attempt,
        untouched: bool,
        code: &str,
        request_id: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        let conn = &mut self.db.conn().await?;
        let open = stripe_calls::table
            .find(before.key.as_str())
            .filter(stripe_calls::outcome.eq_any(CallOutcome::OPEN));
        if untouched {
            let outcome = if before.state == AttemptState::Prepared {
                CallOutcome::Prepared
            } else {
                CallOutcome::Unknown
            };
            diesel::update(open.filter(stripe_calls::tries.eq(before.tries.saturating_add(1))))
                .set((
                    stripe_calls::outcome.eq(outcome),
                    stripe_calls::tries.eq(before.tries),
                    stripe_calls::first_tried_at.eq(before.first_tried_at),
                    stripe_calls::updated_at.eq(now),
                ))
                .execute(conn)
                .await?;
        } else {
            diesel::update(open)
                .set((
                    stripe_calls::stripe_request_id.eq(request_id),
                    stripe_calls::error_code.eq(short(code)),
                    stripe_calls::updated_at.eq(now),
                ))
                .execute(conn)
                .await?;
        }
        Ok(())
    }

    /// Returns whether a call of this operation has made its object, or may have been sent with an unknown outcome.
    pub(super) async fn is_undecided(&self, operation: Operation, subject: Uuid) -> Result<bool, DbError> {
        is_undecided(&mut *self.db.conn().await?, operation, subject).await
    }

    /// Returns the earliest moment at which the attempt of this number can have been sent, also by programs whose records were lost when a backup
    /// was restored: the last look-up that found nothing, or else the creation of the subject; `None` if neither is known. Refused attempts prove
    /// nothing: after a restore they are repeated, and a later attempt, whose record is lost, may have been sent.
    async fn possible_since(
        &self,
        operation: Operation,
        subject: Uuid,
        number: i32,
    ) -> Result<Option<DateTime<Utc>>, DbError> {
        let looked_up = stripe_calls::table
            .filter(stripe_calls::operation.eq(operation))
            .filter(stripe_calls::subject_id.eq(subject))
            .filter(stripe_calls::attempt.lt(number))
            .filter(stripe_calls::error_code.eq(ABSENT))
            .order(stripe_calls::attempt.desc())
            .select(stripe_calls::updated_at)
            .first(&mut self.db.conn().await?)
            .await
            .optional()?;
        Ok(looked_up.or_else(|| begun_at(subject)))
    }

    /// Returns those of these objects that another attempt for the same subject has made according to the record.
    pub(super) async fn of_other_attempts(
        &self,
        key: &CallKey,
        objects: &[&str],
    ) -> Result<Vec<String>, DbError> {
        let conn = &mut self.db.conn().await?;
        let (operation, subject): (Operation, Uuid) = stripe_calls::table
            .find(key.as_str())
            .select((stripe_calls::operation, stripe_calls::subject_id))
            .first(conn)
            .await?;
        let made: Vec<Option<String>> = stripe_calls::table
            .filter(stripe_calls::operation.eq(operation))
            .filter(stripe_calls::subject_id.eq(subject))
            .filter(stripe_calls::idempotency_key.ne(key.as_str()))
            .filter(stripe_calls::stripe_object_id.eq_any(objects))
            .select(stripe_calls::stripe_object_id)
            .load(conn)
            .await?;
        Ok(made.into_iter().flatten().collect())
    }

    /// Raises an alarm.
    pub(super) async fn raise(
        &self,
        kind: AlarmKind,
        subject: &str,
        message: &str,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        alarms::raise(&mut *self.db.conn().await?, kind, subject, message, now).await
    }

    /// Returns whether a call of this operation may have been sent and its outcome is not known.
    pub(super) async fn is_unknown(&self, operation: Operation, subject: Uuid) -> Result<bool, DbError> {
        let latest = self.latest(operation, subject).await?;
        Ok(latest.is_some_and(|attempt| attempt.state == AttemptState::Unknown))
    }

    /// Returns the parameters of the latest attempt, as it was sent, if its outcome is not known.
    pub(super) async fn unknown<C: StripeCall>(&self, subject: Uuid) -> Result<Option<C>, CallError> {
        match self.latest(C::OPERATION, subject).await? {
            Some(attempt) if attempt.state == AttemptState::Unknown => Ok(Some(self.params(&attempt).await?)),
            _ => Ok(None),
        }
    }

    /// Returns whether the next call of this operation sends the parameters that an earlier run stored.
    pub(super) async fn is_prepared(&self, operation: Operation, subject: Uuid) -> Result<bool, DbError> {
        let latest = self.latest(operation, subject).await?;
        Ok(latest.is_some_and(|attempt| attempt.state != AttemptState::Refused))
    }

    /// Returns who made an object, according to all attempts at its call.
    pub(super) async fn author(
        &self,
        operation: Operation,
        subject: Uuid,
        object_id: &str,
    ) -> Result<Author, DbError> {
        let attempts: Vec<(CallOutcome, Option<String>)> = stripe_calls::table
            .filter(stripe_calls::operation.eq(operation))
            .filter(stripe_calls::subject_id.eq(subject))
            // Refused attempts have made nothing, and there can be many.
            .filter(stripe_calls::outcome.ne(CallOutcome::Refused))
            .select((stripe_calls::outcome, stripe_calls::stripe_object_id))
            .load(&mut self.db.conn().await?)
            .await?;
        let made = |(_, object): &(CallOutcome, Option<String>)| object.as_deref() == Some(object_id);
        Ok(if attempts.iter().any(made) {
            Author::Us
        } else if attempts
            .iter()
            .any(|(outcome, _)| *outcome == CallOutcome::Unknown)
        {
            Author::Undecided
        } else {
            Author::Others
        })
    }

    /// Returns the state of the attempt, or `None` if there is no such key.
    pub(super) async fn state(&self, key: &CallKey) -> Result<Option<AttemptState>, DbError> {
        let row: Option<Row> = stripe_calls::table
            .find(key.as_str())
            .select(Row::as_select())
            .first(&mut self.db.conn().await?)
            .await
            .optional()?;
        row.map(|row| Attempt::try_from(row).map(|attempt| attempt.state))
            .transpose()
    }

    async fn latest(&self, operation: Operation, subject: Uuid) -> Result<Option<Attempt>, DbError> {
        latest(&mut *self.db.conn().await?, operation, subject).await
    }

    async fn insert<C: StripeCall>(
        &self,
        operation: Operation,
        subject: Uuid,
        number: i32,
        params: &C,
        now: DateTime<Utc>,
    ) -> Result<(), CallError> {
        let key = CallKey::of(operation.as_str(), subject, number);
        let params = SecretString::from(serde_json::to_string(params).map_err(CallError::Params)?);
        // Before a connection is taken, because the vault may need one of its own.
        let sealed = self.vault.seal(&place(&key), &params).await?;
        diesel::insert_into(stripe_calls::table)
            .values((
                stripe_calls::idempotency_key.eq(key.as_str()),
                stripe_calls::operation.eq(operation),
                stripe_calls::subject_id.eq(subject),
                stripe_calls::attempt.eq(number),
                stripe_calls::encrypted_params.eq(sealed.as_str()),
                stripe_calls::outcome.eq(CallOutcome::Prepared),
                stripe_calls::created_at.eq(now),
                stripe_calls::updated_at.eq(now),
            ))
            .on_conflict_do_nothing()
            .execute(&mut self.db.conn().await?)
            .await
            .map_err(DbError::from)?;
        Ok(())
    }
}

/// The `error_code` of an attempt whose look-up found nothing.
pub(super) const ABSENT: &str = "absent";

fn place(key: &CallKey) -> Place {
    Place::new(TABLE, "encrypted_params", key, KeyOwner::System)
}

fn short(code: &str) -> String {
    code.chars().take(LONGEST_CODE).collect()
}
