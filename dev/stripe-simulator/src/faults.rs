//! Faults that tests order: which requests or webhooks they affect, and how.

use rand::Rng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

/// Selects the matches on which a rule takes effect.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Trigger {
    /// The first match that is affected, counted from 1.
    #[serde(default)]
    nth: Option<u64>,
    /// How many matches are affected from there on; one if `nth` is given, otherwise all.
    #[serde(default)]
    times: Option<u64>,
    /// The share of matches that are affected, 0 to 1, drawn from the simulator's seeded generator.
    #[serde(default)]
    probability: Option<f64>,
}

/// The matching part of a fault rule.
pub(crate) trait Fault {
    /// The thing that is matched.
    type Subject<'a>;
    /// Returns whether the rule matches this request or event.
    fn matches(&self, subject: &Self::Subject<'_>) -> bool;
    /// Returns when the rule takes effect.
    fn trigger(&self) -> &Trigger;
}

/// An active rule, with its counters.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Rule<F> {
    id: u64,
    #[serde(flatten)]
    fault: F,
    matched: u64,
    hit: u64,
}

/// The active rules, in the order in which they were added.
#[derive(Debug)]
pub(crate) struct Rules<F> {
    rules: Vec<Rule<F>>,
    made: u64,
}

impl<F> Default for Rules<F> {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            made: 0,
        }
    }
}

impl<F: Fault + Clone> Rules<F> {
    /// Adds a rule and returns its number.
    pub(crate) fn add(&mut self, fault: F) -> u64 {
        self.made += 1;
        self.rules.push(Rule {
            id: self.made,
            fault,
            matched: 0,
            hit: 0,
        });
        self.made
    }

    /// Removes one rule; returns whether there was one.
    pub(crate) fn remove(&mut self, id: u64) -> bool {
        let before = self.rules.len();
        self.rules.retain(|rule| rule.id != id);
        self.rules.len() < before
    }

    /// Removes all rules.
    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    /// Returns the rules with their counters.
    pub(crate) fn all(&self) -> &[Rule<F>] {
        &self.rules
    }

    /// Returns the first rule that matches and takes effect now. Every matching rule counts the match.
    pub(crate) fn select(&mut self, subject: &F::Subject<'_>, rng: &mut StdRng) -> Option<F> {
        let mut selected = None;
        for rule in self.rules.iter_mut().filter(|rule| rule.fault.matches(subject)) {
            rule.matched += 1;
            let trigger = rule.fault.trigger();
            let first = trigger.nth.unwrap_or(1).max(1);
            let times = trigger.times.or(trigger.nth.map(|_| 1)).unwrap_or(u64::MAX);
            if selected.is_some() || rule.matched < first || rule.hit >= times {
                continue;
            }
            if trigger
                .probability
                .is_some_and(|share| rng.random::<f64>() >= share)
            {
                continue;
            }
            rule.hit += 1;
            selected = Some(rule.fault.clone());
        }
        selected
    }
}

/// The outcome of a faulty request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// A normal response, only delayed if a latency is set.
    #[default]
    Normal,
    /// The connection closes; nothing was done.
    DropBefore,
    /// The connection closes after the effect; the response is stored under the key.
    DropAfter,
    /// There is no effect and no response.
    HangBefore,
    /// The effect happens but there is no response; it is stored under the key.
    HangAfter,
    /// 429 `rate_limit`.
    RateLimit,
    /// 429 `lock_timeout`.
    LockTimeout,
    /// 409 `idempotency_key_in_use`.
    KeyInUse,
    /// 500 without effect, stored under the key: it is replayed for a day.
    #[serde(rename = "error_500")]
    Error500,
    /// 500 without effect, not stored: the same key works the next time.
    #[serde(rename = "error_500_unsaved")]
    Error500Unsaved,
    /// The effect happens, but the response is a 500, which is stored under the key.
    #[serde(rename = "error_500_after_effect")]
    Error500AfterEffect,
    /// 503 without effect, not stored.
    #[serde(rename = "error_503")]
    Error503,
    /// 424 without effect, not stored: a service that Stripe depends on failed.
    #[serde(rename = "error_424")]
    Error424,
    /// 401: the key is not accepted.
    #[serde(rename = "error_401")]
    Error401,
    /// 401 `api_key_expired`.
    #[serde(rename = "error_401_expired")]
    Error401Expired,
    /// 403: the key lacks a permission.
    #[serde(rename = "error_403")]
    Error403,
    /// 403 `more_permissions_required_for_application`: the account grants the platform fewer permissions than the call needs.
    #[serde(rename = "error_403_account")]
    Error403Account,
    /// 404 for the object in the path.
    #[serde(rename = "error_404")]
    Error404,
    /// 400 `resource_missing` for the parameter `destination`.
    NoSuchDestination,
    /// 400 `idempotency_error`: as if the key had been used with other parameters before.
    IdempotencyError,
    /// 400 from the execution, stored under the key.
    #[serde(rename = "error_400")]
    Error400,
    /// 400 `balance_insufficient`, stored under the key.
    BalanceInsufficient,
}

/// A fault of the API.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ApiFault {
    /// `GET`, `POST` or `DELETE`.
    method: Option<String>,
    /// The path, with `*` for any text.
    path: Option<String>,
    /// The operation, such as `transfers.create`, with `*` for any text.
    operation: Option<String>,
    /// The value of `Stripe-Account`.
    account: Option<String>,
    #[serde(flatten)]
    trigger: Trigger,
    /// The delay before the effect, in real time, while the idempotency key is in use.
    pub(crate) latency_ms: u64,
    /// The delay between the effect and the response, in real time.
    pub(crate) answer_delay_ms: u64,
    /// Fields of the response, or of each object of a list, to replace after the effect, as if it answered another request; also in the stored one.
    pub(crate) answers: serde_json::Map<String, serde_json::Value>,
    /// The number of spaces that follow the response.
    pub(crate) padding_bytes: usize,
    /// The request's outcome.
    pub(crate) outcome: Outcome,
}

impl ApiFault {
    /// Returns the response with the fields that the fault replaces.
    pub(crate) fn of_another(&self, answer: String) -> String {
        if self.answers.is_empty() {
            return answer;
        }
        let Ok(mut value) = serde_json::from_str::<serde_json::Value>(&answer) else {
            return answer;
        };
        match value.get_mut("data").and_then(serde_json::Value::as_array_mut) {
            Some(listed) => listed.iter_mut().for_each(|object| self.replace_in(object)),
            None => self.replace_in(&mut value),
        }
        value.to_string()
    }

    fn replace_in(&self, object: &mut serde_json::Value) {
        if let Some(fields) = object.as_object_mut() {
            fields.extend(self.answers.clone());
        }
    }
}

/// A request, as far as [`ApiFault`]s can match it.
#[derive(Debug)]
pub(crate) struct RequestSubject<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) operation: &'a str,
    pub(crate) account: Option<&'a str>,
}

impl Fault for ApiFault {
    type Subject<'a> = RequestSubject<'a>;

    fn matches(&self, subject: &RequestSubject<'_>) -> bool {
        self.method
            .as_deref()
            .is_none_or(|method| method.eq_ignore_ascii_case(subject.method))
            && self.path.as_deref().is_none_or(|path| glob(path, subject.path))
            && self
                .operation
                .as_deref()
                .is_none_or(|operation| glob(operation, subject.operation))
            && self
                .account
                .as_deref()
                .is_none_or(|account| Some(account) == subject.account)
    }

    fn trigger(&self) -> &Trigger {
        &self.trigger
    }
}

/// A fault of the webhooks of one event.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct WebhookFault {
    /// The event type, with `*` for any text.
    event: Option<String>,
    /// The connected account.
    account: Option<String>,
    #[serde(flatten)]
    trigger: Trigger,
    /// The number of further copies that are sent.
    pub(crate) duplicate: u32,
    /// The delay of every copy, in milliseconds.
    pub(crate) delay_ms: u64,
    /// The maximum random delay of every copy, in milliseconds, which shuffles the order.
    pub(crate) reorder_ms: u64,
    /// Whether nothing is ever sent.
    pub(crate) drop: bool,
    /// Whether the copies carry a wrong signature.
    pub(crate) bad_signature: bool,
}

/// An event, as far as [`WebhookFault`]s can match it.
#[derive(Debug)]
pub(crate) struct EventSubject<'a> {
    pub(crate) kind: &'a str,
    pub(crate) account: Option<&'a str>,
}

impl Fault for WebhookFault {
    type Subject<'a> = EventSubject<'a>;

    fn matches(&self, subject: &EventSubject<'_>) -> bool {
        self.event.as_deref().is_none_or(|kind| glob(kind, subject.kind))
            && self
                .account
                .as_deref()
                .is_none_or(|account| Some(account) == subject.account)
    }

    fn trigger(&self) -> &Trigger {
        &self.trigger
    }
}

/// Returns whether `text` matches `pattern`, in which `*` stands for any text.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(tail) = text.strip_prefix(head) else {
        return false;
    };
    rest.is_empty()
        || tail
            .char_indices()
            .any(|(at, _)| tail.get(at..).is_some_and(|tail| glob(rest, tail)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn fault(json: serde_json::Value) -> ApiFault {
        serde_json::from_value(json).unwrap()
    }

    fn hits(fault: ApiFault, requests: usize) -> Vec<usize> {
        let mut rules = Rules::default();
        rules.add(fault);
        let mut rng = StdRng::seed_from_u64(1);
        let subject = RequestSubject {
            method: "POST",
            path: "/v1/transfers",
            operation: "transfers.create",
            account: None,
        };
        (1..=requests)
            .filter(|_| rules.select(&subject, &mut rng).is_some())
            .collect()
    }

    #[test]
    fn globs_match_from_end_to_end() {
        assert!(glob("/v1/transfers*", "/v1/transfers/tr_1/reversals"));
        assert!(glob("*/reversals", "/v1/transfers/tr_1/reversals"));
        assert!(glob("payouts.*", "payouts.create"));
        assert!(!glob("payouts.create", "payouts.creates"));
        assert!(!glob("*/reversals", "/v1/transfers/tr_1"));
    }

    #[test]
    fn nth_and_times_pick_the_requests_that_are_hit() {
        assert_eq!(hits(fault(serde_json::json!({ "nth": 2 })), 5), [2]);
        assert_eq!(
            hits(fault(serde_json::json!({ "nth": 2, "times": 3 })), 9),
            [2, 3, 4]
        );
        assert_eq!(hits(fault(serde_json::json!({ "times": 2 })), 5), [1, 2]);
        assert_eq!(hits(fault(serde_json::json!({ "method": "GET" })), 5).len(), 0);
        assert_eq!(
            hits(fault(serde_json::json!({ "operation": "transfers.*" })), 5).len(),
            5
        );
    }

    #[test]
    fn a_probability_hits_about_its_share_and_repeats_with_the_seed() {
        let share = fault(serde_json::json!({ "probability": 0.3 }));
        let first = hits(share.clone(), 1_000);
        assert!((230..370).contains(&first.len()), "{} of 1000", first.len());
        assert_eq!(first, hits(share, 1_000));
    }
}
