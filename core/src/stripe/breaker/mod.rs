//! Circuit breakers: while Stripe does not work for a lane of calls, its jobs wait in PostgreSQL instead of being retried constantly.
//!
//! Closed, a breaker lets all calls through and counts failures. Open, it refuses calls until a set time. Half-open, it lets one probe through,
//! which closes it or opens it again for twice as long. Except for the mutex it is pure: time is a parameter. Losing this state costs a few calls.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use strum::{IntoStaticStr, VariantArray};

use super::errors::{ErrorClass, Scope};
use crate::jobs::QueueName;

/// A group of calls that one breaker lets through or holds back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Lane {
    /// The calls of deposits: customers, payment intents and refunds.
    Deposits,
    /// The calls of withdrawals: transfers, payouts, reversals, and reads of the accounts.
    Withdrawals,
    /// Fetching the objects that events are about.
    Webhooks,
    /// The reads of maintenance work, such as reconciliation and paging through events.
    Maintenance,
    /// Onboarding calls, which a person waits for.
    Onboarding,
}

impl Lane {
    /// Every lane.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// Returns the lane of the calls that a queue's jobs make.
    #[must_use]
    pub const fn of(queue: QueueName) -> Self {
        match queue {
            QueueName::Deposits => Self::Deposits,
            QueueName::Withdrawals => Self::Withdrawals,
            QueueName::Webhooks => Self::Webhooks,
            // Transfers between wallets make no calls.
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

    /// Returns its name in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The conditions under which a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// The number of calls in a row without an answer, or without a connection, after which it opens.
    pub failures: u32,
    /// The number of calls in a row that Stripe refuses as too many, after which it opens.
    pub rate_limited: u32,
    /// How long it stays open the first time; doubled after each failed probe.
    pub pause: TimeDelta,
    /// The maximum time for which it stays open.
    pub longest_pause: TimeDelta,
    /// How long a probe may take before another one is let through.
    pub probe: TimeDelta,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: 3,
            rate_limited: 10,
            // A probe is one call: frequent enough that work resumes soon, too rare to be a burden.
            pause: TimeDelta::seconds(1),
            longest_pause: TimeDelta::seconds(2),
            probe: TimeDelta::seconds(30),
        }
    }
}

/// The error of a call whose lane is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("calls to the payment provider are paused until {until}")]
pub struct LaneClosed {
    /// When to try again.
    pub until: DateTime<Utc>,
}

/// Permission to make one call; it is passed to [`Breakers::record`] with the outcome of the call.
///
/// A probe that is dropped instead, because its call was not sent after all, leaves its place to the next call.
#[derive(Debug)]
#[must_use = "the outcome of the call is recorded with it"]
pub struct Permit<'a> {
    breakers: &'a Breakers,
    lane: Lane,
    /// When the probe was let through, if this call is a probe.
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
    /// A probe is under way; if it never returns, another one may be sent at `until`.
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
    /// A bit for each lane that has closed again and has not been returned by `take_resumed` yet.
    resumed: AtomicU8,
    key: Mutex<KeyState>,
}

/// The known state of our key at Stripe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyState {
    /// The time since which Stripe refuses the key; `None` while it accepts it, or before the first call.
    pub refused_since: Option<DateTime<Utc>>,
    /// How often the key was refused since the process began.
    pub refusals: u64,
}

impl Breakers {
    /// Creates breakers that are all closed.
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

    /// Returns the permission for one call on `lane`.
    ///
    /// # Errors
    /// If the lane is paused: release the job until then, without counting an attempt.
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

    /// Records the outcome of a permitted call: `None` for a success, otherwise the class of its error.
    pub fn record(&self, mut permit: Permit<'_>, outcome: Option<ErrorClass>, now: DateTime<Utc>) {
        let lane = permit.lane;
        let probe = permit.probe.take().is_some();
        let scope = outcome.map(ErrorClass::scope);
        if scope == Some(Scope::Key) {
            let mut key = self.lock_key();
            key.refusals = key.refusals.saturating_add(1);
            key.refused_since.get_or_insert(now);
            drop(key);
            // Every lane uses the same key.
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

    /// Returns the known state of our key at Stripe.
    #[must_use]
    pub fn key(&self) -> KeyState {
        *self.lock_key()
    }

    fn lock_key(&self) -> MutexGuard<'_, KeyState> {
        self.key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether calls on the lane are paused, or only probed.
    #[must_use]
    pub fn is_paused(&self, lane: Lane) -> bool {
        self.with(lane, |state, _| !matches!(*state, State::Closed { .. }))
    }

    /// Returns whether the lane is paused and the next call on it would be a probe.
    #[must_use]
    pub fn awaits_probe(&self, lane: Lane, now: DateTime<Utc>) -> bool {
        self.with(lane, |state, _| match *state {
            State::Closed { .. } => false,
            State::Open { until, .. } | State::Probing { until, .. } => now >= until,
        })
    }

    /// Returns the lanes on which Stripe has started to answer again since the previous call of this function.
    #[must_use]
    pub fn take_resumed(&self) -> Vec<Lane> {
        let resumed = self.resumed.swap(0, Ordering::Relaxed);
        Lane::ALL
            .iter()
            .copied()
            .filter(|lane| resumed & lane.bit() != 0)
            .collect()
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

/// Returns the state after a call has returned.
fn after(
    state: State,
    outcome: Option<ErrorClass>,
    probe: bool,
    settings: &BreakerSettings,
    now: DateTime<Utc>,
) -> State {
    use ErrorClass::{InUse, ObjectBusy, RateLimited, Unknown, Unreachable};
    match (state, outcome) {
        // These are about one key or one object and show nothing about the lane, except that Stripe answers a probe.
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
        // Already open: another call of the same burst.
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
