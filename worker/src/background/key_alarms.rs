//! The alarms about encryption keys under which data keys are wrapped and that some program does not have.
//!
//! Workers may have different keys for a while. A worker that has the key closes the alarm, unless another
//! one keeps raising it: then the alarm stays open until nobody has raised it for some time.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use wallet_core::alarms::{self, AlarmKind, OpenAlarm};
use wallet_core::crypto::Fingerprint;
use wallet_core::db::{DbError, in_transaction};
use wallet_core::readiness;

use crate::worker::Worker;

/// How often a worker that lacks a key raises its alarm again.
const REPORT_AGAIN_AFTER: TimeDelta = TimeDelta::seconds(60);
/// An alarm that was raised repeatedly is over after this long without being raised.
const QUIET: TimeDelta = TimeDelta::seconds(150);
/// An alarm that was closed less than this ago is reopened rather than raised as a new one.
const SAME_WITHIN: TimeDelta = TimeDelta::hours(24);

/// What this worker knows about the alarms.
#[derive(Debug, Default)]
pub(crate) struct KeyAlarms {
    /// When this worker last raised the alarm of each key that it lacks.
    told: HashMap<String, DateTime<Utc>>,
    /// How often the alarm of a key had been raised, and since when that count is unchanged.
    heard: HashMap<String, (i32, DateTime<Utc>)>,
}

impl KeyAlarms {
    /// Raises an alarm for each key that is needed and not configured here, and closes the alarms that are over.
    ///
    /// # Errors
    /// If the database cannot be reached.
    pub(crate) async fn keep(&mut self, worker: &Worker, missing: &[Fingerprint]) -> Result<(), DbError> {
        let now = worker.clock.now();
        let is_missing = |subject: &str| missing.iter().any(|key| key.as_str() == subject);
        self.told.retain(|subject, _| is_missing(subject));
        // This connection is returned before the transactions below take one.
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
            if is_open && told.is_some_and(|told| now - *told < REPORT_AGAIN_AFTER) {
                continue;
            }
            let is_another_s = is_open && told.is_none();
            self.told.insert(subject.to_owned(), now);
            if is_another_s {
                continue;
            }
            let message = readiness::half_done(std::slice::from_ref(key));
            in_transaction!(worker.db, conn => {
                alarms::reopen(conn, AlarmKind::EncryptionKeyMissing, subject, now - SAME_WITHIN).await?;
                alarms::raise(conn, AlarmKind::EncryptionKeyMissing, subject, &message, now).await
            })?;
        }
        Ok(())
    }

    /// Whether an alarm about a key that is configured here is over because nobody raises it any more.
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
