//! The inbox of Stripe's events, which are stored first and processed later.
//!
//! An event with a valid signature is never refused and never lost. It is stored, sealed, with a job to process it, before
//! Stripe gets its 200; one that cannot be understood is stored as well, and parked with an alarm.

mod end;
mod state;
mod store;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub use end::{EventEnd, close};
pub use state::{EventSource, EventState};
pub(crate) use store::mark_processed;
pub use store::{BODIES_KEPT, Replay, StoredEvent, drop_bodies, find, is_parked, replay, unknown_of};

use crate::alarms::{self, AlarmKind};
use crate::clock::SharedClock;
use crate::crypto::{CryptoError, KeyOwner, Place, Vault};
use crate::db::{AsDbError, Db, DbError, in_transaction};
use crate::dispatch::{Queued, Submitter};
use crate::failpoints::{self, Point};
use crate::jobs::{self, JobKind, NewJob};
use crate::stripe::{AccountId, Envelope};

/// The reason why an event could not be stored. Stripe must send it again.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    /// The database failed.
    #[error("the event could not be stored")]
    Db(#[from] DbError),
    /// Sealing failed.
    #[error("the event could not be sealed")]
    Crypto(#[from] CryptoError),
}

impl AsDbError for InboxError {
    fn as_db_error(&self) -> Option<&DbError> {
        match self {
            Self::Db(error) => Some(error),
            Self::Crypto(_) => None,
        }
    }
}

/// The result of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// Stored for the first time, with a job to process it.
    New,
    /// Stored before.
    Duplicate,
    /// Stored for the first time, and ignored: it is not about this system.
    Ignored,
    /// Stored for the first time, but not understood: parked with an alarm.
    Parked,
}

/// The reason why an event is not processed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// It is normal that such an event arrives, but it is not about this system.
    NotOurs(&'static str),
    /// An operator must decide about it.
    Odd(String),
}

impl Obstacle {
    /// Returns the state of an event with this obstacle.
    const fn state(&self) -> EventState {
        match self {
            Self::NotOurs(_) => EventState::Ignored,
            Self::Odd(_) => EventState::Parked,
        }
    }

    /// Returns the reason, as a sentence.
    #[must_use]
    pub fn note(&self) -> &str {
        match self {
            Self::NotOurs(note) => note,
            Self::Odd(note) => note,
        }
    }
}

/// Stores events.
#[derive(Debug, Clone)]
pub struct Inbox {
    db: Db,
    clock: SharedClock,
    vault: Arc<Vault>,
    /// Submits committed jobs to their queue; `None` where a dispatcher finds them soon enough.
    submitter: Option<Submitter>,
    livemode: bool,
}

/// How an event arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source<'a> {
    /// Delivered to the webhook.
    Webhook,
    /// Read from Stripe's list of events: the same event, but not the same bytes.
    List {
        /// The account whose list it is, or `None` for the platform's own. Only deliveries name the account in the event itself.
        account: Option<&'a AccountId>,
    },
}

impl Source<'_> {
    const fn kept(self) -> EventSource {
        match self {
            Self::Webhook => EventSource::Webhook,
            Self::List { .. } => EventSource::List,
        }
    }
}

/// An event as it will be stored.
struct Arrived {
    source: EventSource,
    id: String,
    envelope: Envelope,
    body_sha256: Vec<u8>,
    sealed_body: String,
    /// The reason why it is not processed, if there is one.
    obstacle: Option<Obstacle>,
    at: DateTime<Utc>,
}

impl Arrived {
    fn about(&self) -> String {
        let Envelope {
            event_type,
            object,
            account,
            ..
        } = &self.envelope;
        let account = account.as_ref().map(AccountId::as_str);
        about(
            event_type.as_deref().unwrap_or_default(),
            object.id.as_deref(),
            account,
        )
    }
}

/// Describes what an event is about, in one line for a person.
fn about(event_type: &str, object: Option<&str>, account: Option<&str>) -> String {
    let event_type = if event_type.is_empty() {
        "an event"
    } else {
        event_type
    };
    let object = object.map_or_else(String::new, |object| format!(" of {object}"));
    let account = account.map_or_else(String::new, |account| format!(" on account {account}"));
    format!("{event_type}{object}{account}")
}

impl Inbox {
    /// Returns an inbox for events of live mode, or of test mode.
    #[must_use]
    pub fn new(db: Db, clock: SharedClock, vault: Arc<Vault>, livemode: bool) -> Self {
        Self {
            db,
            clock,
            vault,
            submitter: None,
            livemode,
        }
    }

    /// Returns the same inbox, whose jobs `submitter` puts on their queue at once.
    #[must_use]
    pub fn dispatching(mut self, submitter: Submitter) -> Self {
        self.submitter = Some(submitter);
        self
    }

    /// Stores the body of a delivery whose signature was valid, or of an event from Stripe's list, and submits its job to the
    /// workers.
    ///
    /// # Errors
    /// When it could not be stored; it must then be delivered, or read, again.
    pub async fn receive(&self, source: Source<'_>, body: &[u8]) -> Result<Received, InboxError> {
        let arrived = self.understand(source, body).await?;
        let (received, queued) = self.store(source, &arrived).await?;
        if received == Received::New && source == Source::Webhook {
            failpoints::reach(Point::EventBeforeAnswer).await;
        }
        if let Some((submitter, queued)) = self.submitter.as_ref().zip(queued) {
            submitter.submit(queued);
        }
        Ok(received)
    }

    /// Writes the event and, if it is to be processed, its job.
    async fn store(
        &self,
        source: Source<'_>,
        arrived: &Arrived,
    ) -> Result<(Received, Option<Queued>), InboxError> {
        in_transaction!(self.db, conn => {
            if !store::insert(conn, arrived).await? {
                if source == Source::Webhook && store::body_differs(conn, arrived).await? {
                    let message = "an event came again with another body; the first one counts";
                    alarms::raise(conn, AlarmKind::EventBodyDiffers, &arrived.id, message, arrived.at).await?;
                }
                return Ok((Received::Duplicate, None));
            }
            match &arrived.obstacle {
                Some(Obstacle::NotOurs(_)) => return Ok((Received::Ignored, None)),
                Some(Obstacle::Odd(note)) => {
                    let message = format!("{note}: {}", arrived.about());
                    alarms::raise(conn, AlarmKind::EventParked, &arrived.id, &message, arrived.at).await?;
                    return Ok((Received::Parked, None));
                }
                None => {}
            }
            let job = job_of(&arrived.id, arrived.at);
            let queued = if let Some(submitter) = &self.submitter {
                submitter.insert(conn, &job).await?
            } else {
                jobs::insert(conn, &job).await?;
                None
            };
            if source == Source::Webhook {
                failpoints::reach(Point::EventBeforeCommit).await;
            }
            Ok((Received::New, queued))
        })
    }

    async fn understand(&self, source: Source<'_>, body: &[u8]) -> Result<Arrived, InboxError> {
        let (mut envelope, error) = match Envelope::from_json(body) {
            Ok(envelope) => (envelope, None),
            Err(error) => (Envelope::default(), Some(Obstacle::Odd(error.to_string()))),
        };
        if let Source::List { account } = source {
            envelope.account = envelope.account.or_else(|| account.cloned());
        }
        let obstacle = error.or_else(|| self.obstacle(&envelope));
        let body_sha256 = digest(body);
        let id = match &envelope.id {
            Some(id) => id.as_str().to_owned(),
            None => format!("{NAMELESS}{}", hex::encode(&body_sha256)),
        };
        let place = Place::new("stripe_events", "encrypted_body", &id, KeyOwner::System);
        let sealed_body = self.vault.seal_bytes(&place, body).await?.into_string();
        Ok(Arrived {
            source: source.kept(),
            id,
            envelope,
            body_sha256,
            sealed_body,
            obstacle,
            at: self.clock.now(),
        })
    }

    fn obstacle(&self, envelope: &Envelope) -> Option<Obstacle> {
        let event_type = envelope.event_type.as_deref().unwrap_or_default();
        unreadable(envelope.id.is_some(), event_type)
            .or_else(|| self.other_mode(envelope.livemode, envelope.account.is_some()))
    }

    /// Returns why a stored event cannot be processed even if an operator replays it: it has no id or no type, or it was made in the other
    /// mode (live or test). No repair changes that.
    #[must_use]
    pub fn standing_obstacle(&self, event: &StoredEvent) -> Option<Obstacle> {
        unreadable(!event.id.starts_with(NAMELESS), &event.event_type)
            .or_else(|| self.other_mode(event.livemode, event.account.is_some()))
    }

    fn other_mode(&self, livemode: Option<bool>, is_connected: bool) -> Option<Obstacle> {
        if livemode != Some(!self.livemode) {
            None
        } else if is_connected {
            // A live Connect endpoint also gets the test events of accounts that are connected in both modes
            // (<https://docs.stripe.com/connect/webhooks>).
            Some(Obstacle::NotOurs(
                "a connected account's event of the other mode (live or test)",
            ))
        } else {
            Some(Obstacle::Odd(format!(
                "the event's livemode is {}, this system's is {}",
                !self.livemode, self.livemode
            )))
        }
    }
}

/// The prefix of the ids of events that have none from Stripe; the hash of the body follows.
const NAMELESS: &str = "sha256:";

/// Returns why an event cannot be understood at all, if so.
fn unreadable(has_id: bool, event_type: &str) -> Option<Obstacle> {
    if !has_id {
        Some(Obstacle::Odd("the event has no id".to_owned()))
    } else if event_type.is_empty() {
        Some(Obstacle::Odd("the event has no type".to_owned()))
    } else {
        None
    }
}

/// The maximum length of a job's unique key in the database; Stripe's ids alone have up to 255 characters
/// (<https://docs.stripe.com/upgrades#what-changes-does-stripe-consider-to-be-backwards-compatible>).
const LONGEST_KEY: usize = 255;

/// Returns the key that allows one job per event.
fn unique_key(event: &str) -> String {
    let key = format!("event:{event}");
    if key.len() <= LONGEST_KEY {
        return key;
    }
    format!("event:sha256:{}", hex::encode(Sha256::digest(event)))
}

/// Returns the job that processes an event.
fn job_of(event: &str, now: DateTime<Utc>) -> NewJob {
    NewJob {
        kind: JobKind::StripeEvent,
        transaction: None,
        wallets: Vec::new(),
        payload: json!({ "v": 1, "event": event }),
        unique_key: Some(unique_key(event)),
        run_at: now,
    }
}

/// Returns a digest that all deliveries of an event share: it leaves out `pending_webhooks`, which counts down.
fn digest(body: &[u8]) -> Vec<u8> {
    let stable = match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(mut event)) => {
            event.remove("pending_webhooks");
            serde_json::to_vec(&event).unwrap_or_else(|_| body.to_vec())
        }
        _ => body.to_vec(),
    };
    Sha256::digest(stable).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_event_is_about_is_said_as_far_as_it_says_so_itself() {
        for (told, line) in [
            (
                ("payout.failed", Some("po_1"), Some("acct_1")),
                "payout.failed of po_1 on account acct_1",
            ),
            (("refund.failed", Some("re_1"), None), "refund.failed of re_1"),
            (("", None, None), "an event"),
        ] {
            assert_eq!(about(told.0, told.1, told.2), line);
        }
    }

    #[test]
    fn deliveries_of_one_event_have_one_digest() {
        let first = digest(br#"{"id":"evt_1","pending_webhooks":2,"type":"x"}"#);
        assert_eq!(
            first,
            digest(br#"{"type":"x","id":"evt_1","pending_webhooks":1}"#)
        );
        assert_ne!(
            first,
            digest(br#"{"type":"y","id":"evt_1","pending_webhooks":1}"#)
        );
        assert_ne!(digest(b"no json"), digest(b"no json "));
    }
}
