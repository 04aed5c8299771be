//! Circuit breakers: while Stripe does not work for a lane of calls, its jobs wait in PostgreSQL instead of hammering.
//!
//! Closed lets everything through and counts; open refuses until a time; half-open lets one probe through, whose outcome closes
//! or opens again, twice as long. Pure but for the mutex: time comes in as a parameter. Losing this state costs a few calls.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use strum::{IntoStaticStr, VariantArray};

use super::errors::{ErrorClass, Scope};
use crate::jobs::QueueName;

/// Calls that share their fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Lane {
    /// Customers and payment intents.
    Deposits,
    /// Accounts, transfers, payouts and reversals.
    Withdrawals,
    /// Fetching what events are about.
    Webhooks,
    /// Look-ups and paging of the housekeeping.
    Maintenance,
    /// Onboarding, which a person waits for.
    Onboarding,
}

impl Lane {
    /// Every lane.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The lane of what the jobs of a queue ask.
    #[must_use]
    pub const fn of(queue: QueueName) -> Self {
        match queue {
            QueueName::Deposits => Self::Deposits,
            QueueName::Withdrawals => Self::Withdrawals,
            QueueName::Webhooks => Self::Webhooks,
            // Transfers call nobody.
            QueueName::Maintenance | QueueName::Transfers => Self::Maintenance,
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Deposits => 1,
            Self::Withdrawals => 2,
            Self::Webhooks => 4,
            Self::Maintenance => 8,
            Self::Onboarding => 16,
        }
    }

    /// Its name in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// When a breaker opens and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Calls in a row without an answer, or without a connection.
    pub failures: u32,
    /// Calls in a row that were too many for Stripe.
    pub rate_limited: u32,
    /// How long it stays open the first time; doubled after each failed probe.
    pub pause: TimeDelta,
    /// The longest it stays open.
    pub longest_pause: TimeDelta,
    /// How long a probe may take before another one is let through.
    pub probe: TimeDelta,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: 3,
            rate_limited: 10,
            // A probe is one call: often enough that work resumes soon, too seldom to be a burden.
            pause: TimeDelta::seconds(1),
            longest_pause: TimeDelta::seconds(2),
            probe: TimeDelta::seconds(30),
        }
    }
}

/// The lane is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("calls to the payment provider are paused until {until}")]
pub struct LaneClosed {
    /// When to ask again.
    pub until: DateTime<Utc>,
}

/// Leave to make one call; give it back with its outcome.
///
/// A probe that is dropped instead, because its call was not sent after all, leaves its place to the next call.
#[derive(Debug)]
#[must_use = "the outcome of the call is recorded with it"]
pub struct Permit<'a> {
    breakers: &'a Breakers,
    lane: Lane,
    /// When the probe that this call is was let out; none for any other call.
    probe: Option<DateTime<Utc>>,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let Some(due) = self.probe else { return };
        self.breakers.with(self.lane, |state, _| {
            if let State::Probing { pauses, .. } = *state {
                *state = State::Open { until: due, pauses };
            }
        });
    }
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed {
        failures: u32,
        rate_limited: u32,
    },
    Open {
        until: DateTime<Utc>,
        pauses: u32,
    },
    /// A probe is out; if it never comes back, another one may go at `until`.
    Probing {
        until: DateTime<Utc>,
        pauses: u32,
    },
}

const CLOSED: State = State::Closed {
    failures: 0,
    rate_limited: 0,
};

/// The breakers of a process, one per lane.
#[derive(Debug)]
pub struct Breakers {
    settings: BreakerSettings,
    states: Mutex<[State; Lane::ALL.len()]>,
    /// A bit for each lane that has closed again and nobody was told yet.
    resumed: AtomicU8,
    key: Mutex<KeyState>,
}

/// What is known of our key at Stripe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyState {
    /// Since when Stripe refuses it; none while it accepts it, or was not asked yet.
    pub refused_since: Option<DateTime<Utc>>,
    /// How often it was refused since the process began.
    pub refusals: u64,
}

impl Breakers {
    /// Breakers that are all closed.
    #[must_use]
    pub const fn new(settings: BreakerSettings) -> Self {
        Self {
            settings,
            states: Mutex::new([CLOSED; Lane::ALL.len()]),
            resumed: AtomicU8::new(0),
            key: Mutex::new(KeyState {
                refused_since: None,
                refusals: 0,
            }),
        }
    }

    /// Leave for one call on `lane`.
    ///
    /// # Errors
    /// When the lane is paused: hand the job back until then, without counting an attempt.
    pub fn permit(&self, lane: Lane, now: DateTime<Utc>) -> Result<Permit<'_>, LaneClosed> {
        let probe = self.with(lane, |state, settings| match *state {
            State::Closed { .. } => Ok(None),
            State::Open { until, .. } | State::Probing { until, .. } if now < until => {
                Err(LaneClosed { until })
            }
            State::Open { pauses, .. } | State::Probing { pauses, .. } => {
                *state = State::Probing {
                    until: now + settings.probe,
                    pauses,
                };
                Ok(Some(now))
            }
        })?;
        Ok(Permit {
            breakers: self,
            lane,
            probe,
        })
    }

    /// Takes the outcome of a permitted call: none for a success, else the class of its error.
    pub fn record(&self, mut permit: Permit<'_>, outcome: Option<ErrorClass>, now: DateTime<Utc>) {
        let lane = permit.lane;
        let probe = permit.probe.take().is_some();
        let scope = outcome.map(ErrorClass::scope);
        if scope == Some(Scope::Key) {
            let mut key = self.lock_key();
            key.refusals = key.refusals.saturating_add(1);
            key.refused_since.get_or_insert(now);
            drop(key);
            // The key is everybody's.
            for &lane in Lane::ALL {
                self.with(lane, |state, settings| *state = opened(*state, settings, now));
            }
            tracing::error!(
                lane = lane.as_str(),
                "stripe does not accept the API key: every lane is paused"
            );
            return;
        }
        if outcome.is_none_or(ErrorClass::proves_key) && self.lock_key().refused_since.take().is_some() {
            tracing::info!("stripe accepts the API key again");
        }
        let (opens, closes) = self.with(lane, |state, settings| {
            let next = after(*state, outcome, probe, settings, now);
            let opens = matches!(next, State::Open { .. }) && matches!(*state, State::Closed { .. });
            let closes = matches!(next, State::Closed { .. }) && !matches!(*state, State::Closed { .. });
            *state = next;
            (opens, closes)
        });
        if opens {
            tracing::warn!(lane = lane.as_str(), "calls to stripe are paused");
        }
        if closes {
            tracing::info!(lane = lane.as_str(), "stripe answers again");
            self.resumed.fetch_or(lane.bit(), Ordering::Relaxed);
        }
    }

    /// Whether Stripe accepts our key.
    #[must_use]
    pub fn key(&self) -> KeyState {
        *self.lock_key()
    }

    fn lock_key(&self) -> MutexGuard<'_, KeyState> {
        self.key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether calls on the lane are paused, or only tried.
    #[must_use]
    pub fn is_paused(&self, lane: Lane) -> bool {
        self.with(lane, |state, _| !matches!(*state, State::Closed { .. }))
    }

    /// Whether the lane is paused and the next call on it would be a probe.
    #[must_use]
    pub fn awaits_probe(&self, lane: Lane, now: DateTime<Utc>) -> bool {
        self.with(lane, |state, _| match *state {
            State::Closed { .. } => false,
            State::Open { until, .. } | State::Probing { until, .. } => now >= until,
        })
    }

    /// The lanes on which Stripe answers again since the last time this was asked.
    #[must_use]
    pub fn take_resumed(&self) -> Vec<Lane> {
        let resumed = self.resumed.swap(0, Ordering::Relaxed);
        Lane::ALL
            .iter()
            .copied()
            .filter(|lane| resumed & lane.bit() != 0)
            .collect()
    }

    /// Until when the lane is paused; none when it is not.
    #[must_use]
    pub fn paused_until(&self, lane: Lane, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.with(lane, |state, _| match *state {
            State::Open { until, .. } | State::Probing { until, .. } if now < until => Some(until),
            _ => None,
        })
    }

    fn with<T>(&self, lane: Lane, change: impl FnOnce(&mut State, &BreakerSettings) -> T) -> T {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let [deposits, withdrawals, webhooks, maintenance, onboarding] = &mut *states;
        let state = match lane {
            Lane::Deposits => deposits,
            Lane::Withdrawals => withdrawals,
            Lane::Webhooks => webhooks,
            Lane::Maintenance => maintenance,
            Lane::Onboarding => onboarding,
        };
        change(state, &self.settings)
    }
}

/// The state after a call came back.
fn after(
    state: State,
    outcome: Option<ErrorClass>,
    probe: bool,
    settings: &BreakerSettings,
    now: DateTime<Utc>,
) -> State {
    use ErrorClass::{InUse, ObjectBusy, RateLimited, Unknown, Unreachable};
    match (state, outcome) {
        // About one key or one object: tells nothing about the lane, except that Stripe answers a probe.
        (_, Some(InUse | ObjectBusy)) => {
            if probe {
                CLOSED
            } else {
                state
            }
        }
        (
            State::Closed {
                failures,
                rate_limited,
            },
            Some(Unknown | Unreachable),
        ) => {
            let failures = failures.saturating_add(1);
            if failures >= settings.failures {
                opened(state, settings, now)
            } else {
                State::Closed {
                    failures,
                    rate_limited,
                }
            }
        }
        (
            State::Closed {
                failures,
                rate_limited,
            },
            Some(RateLimited),
        ) => {
            let rate_limited = rate_limited.saturating_add(1);
            if rate_limited >= settings.rate_limited {
                opened(state, settings, now)
            } else {
                State::Closed {
                    failures,
                    rate_limited,
                }
            }
        }
        (_, Some(Unknown | Unreachable | RateLimited)) if probe => opened(state, settings, now),
        // Calls that were under way when the breaker opened decide nothing.
        (State::Open { .. } | State::Probing { .. }, _) if !probe => state,
        // Everything else is an answer: Stripe works.
        _ => CLOSED,
    }
}

fn opened(state: State, settings: &BreakerSettings, now: DateTime<Utc>) -> State {
    let pauses = match state {
        State::Closed { .. } => 0,
        State::Probing { pauses, .. } => pauses.saturating_add(1),
        // Already open: another call of the same wave.
        State::Open { .. } => return state,
    };
    let factor = 1_i32.checked_shl(pauses.min(30)).unwrap_or(i32::MAX);
    let pause = settings
        .pause
        .checked_mul(factor)
        .map_or(settings.longest_pause, |pause| pause.min(settings.longest_pause));
    State::Open {
        until: now + pause,
        pauses,
    }
}

#[cfg(test)]
mod tests;
