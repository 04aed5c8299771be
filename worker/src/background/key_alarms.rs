//! The alarms about encryption keys that data keys are under and that some program does not have.
//!
//! Workers may have different keys for a while. One that has the key closes the alarm, unless another one goes on telling of it: then the alarm
//! stays open until nobody has told of it for some time.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use wallet_core::alarms::{self, AlarmKind, OpenAlarm};
use wallet_core::crypto::Fingerprint;
use wallet_core::db::{DbError, in_transaction};
use wallet_core::standing;

use crate::worker::Worker;

/// How often a worker that lacks a key tells of it again.
const TOLD_AGAIN_AFTER: TimeDelta = TimeDelta::seconds(60);
/// An alarm that was told of again is over when nobody has for so long.
const QUIET: TimeDelta = TimeDelta::seconds(150);
/// An alarm that was closed a shorter time ago is the same one.
const SAME_WITHIN: TimeDelta = TimeDelta::hours(24);

/// What this worker knows of the alarms.
#[derive(Debug, Default)]
pub(crate) struct KeyAlarms {
    /// When it has told of a key that it lacks.
    told: HashMap<String, DateTime<Utc>>,
    /// How often others had told of a key, and since when it is not more often.
    heard: HashMap<String, (i32, DateTime<Utc>)>,
}

impl KeyAlarms {
    /// Tells of each key that is needed and not configured here, and closes the alarms that are over.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub(crate) async fn keep(&mut self, worker: &Worker, missing: &[Fingerprint]) -> Result<(), DbError> {
        let now = worker.clock.now();
        let is_missing = |subject: &str| missing.iter().any(|key| key.as_str() == subject);
        self.told.retain(|subject, _| is_missing(subject));
        // Given back before the transactions below take one.
        let mut conn = worker.db.conn().await?;
        let open = alarms::open_of(&mut conn, AlarmKind::EncryptionKeyMissing).await?;
        self.heard
            .retain(|subject, _| open.iter().any(|alarm| alarm.subject == *subject));
        for alarm in &open {
            if !is_missing(&alarm.subject) && self.is_over(alarm, now) {
                alarms::close_unless_seen_again(&mut conn, alarm, now).await?;
            }
        }
        drop(conn);
        for key in missing {
            let subject = key.as_str();
            let is_open = open.iter().any(|alarm| alarm.subject == subject);
            let told = self.told.get(subject);
            if is_open && told.is_some_and(|told| now - *told < TOLD_AGAIN_AFTER) {
                continue;
            }
            let is_another_s = is_open && told.is_none();
            self.told.insert(subject.to_owned(), now);
            if is_another_s {
                continue;
            }
            let message = standing::half_done(std::slice::from_ref(key));
            in_transaction!(worker.db, conn => {
                alarms::reopen(conn, AlarmKind::EncryptionKeyMissing, subject, now - SAME_WITHIN).await?;
                alarms::raise(conn, AlarmKind::EncryptionKeyMissing, subject, &message, now).await
            })?;
        }
        Ok(())
    }

    /// Of an alarm about a key that is configured here, whether nobody tells of it any more.
    fn is_over(&mut self, alarm: &OpenAlarm, now: DateTime<Utc>) -> bool {
        let heard = self
            .heard
            .entry(alarm.subject.clone())
            .or_insert((alarm.seen, now));
        if heard.0 != alarm.seen {
            *heard = (alarm.seen, now);
        }
        alarm.seen == 1 || now - heard.1 >= QUIET
    }
}
