//! The simulator's whole state, in one struct so that every transition is one function call under one lock.

mod stored;
mod work;

use std::collections::{HashMap, HashSet, VecDeque};

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::{Clock, Moment, Timers};
use crate::effects::{Effect, EffectLog, NewEffect, transaction_of};
use crate::faults::{ApiFault, Rules, WebhookFault};
use crate::idempotency::KeyStore;
use crate::list::Table;
use crate::money::Currency;
use crate::objects::{
    Account, BalanceTransaction, Charge, Customer, Dispute, Event, Funds, Id, Owner, PaymentIntent,
    PaymentMethod, Payout, Refund, Reversal, Transfer,
};
use crate::serial::pairs;
use crate::settings::{Settings, WebhookTarget};

pub(crate) use stored::Stored;
pub(crate) use work::{Attempt, Delivery, DisputedFunds, Move, NewDispute, Timer};

/// The API request in which something happened; empty for what happens by itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    /// The request's id.
    pub(crate) request_id: Option<String>,
    /// The request's idempotency key.
    pub(crate) idempotency_key: Option<String>,
}

/// The whole state of the simulator. Skipped fields belong to one run: how it was started, and what tests have ordered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct State {
    #[serde(skip)]
    pub(crate) settings: Settings,
    #[serde(skip)]
    pub(crate) webhook: Option<WebhookTarget>,
    #[serde(skip)]
    pub(crate) base_url: String,
    pub(crate) clock: Clock,
    pub(crate) timers: Timers<Timer>,
    /// Webhooks that are due, for the delivery task.
    pub(crate) ready: Vec<Delivery>,
    /// The latest delivery attempts, which tests can read.
    pub(crate) attempts: VecDeque<Attempt>,
    #[serde(skip, default = "unseeded")]
    pub(crate) rng: StdRng,
    #[serde(skip)]
    pub(crate) faults: Rules<ApiFault>,
    #[serde(skip)]
    pub(crate) webhook_faults: Rules<WebhookFault>,
    pub(crate) keys: KeyStore,
    pub(crate) effects: EffectLog,
    pub(crate) customers: Table<Customer>,
    pub(crate) payment_methods: Table<PaymentMethod>,
    pub(crate) payment_intents: Table<PaymentIntent>,
    pub(crate) charges: Table<Charge>,
    pub(crate) balance_transactions: Table<BalanceTransaction>,
    pub(crate) accounts: Table<Account>,
    pub(crate) transfers: Table<Transfer>,
    pub(crate) reversals: Table<Reversal>,
    pub(crate) payouts: Table<Payout>,
    pub(crate) refunds: Table<Refund>,
    pub(crate) disputes: Table<Dispute>,
    pub(crate) events: Table<Event>,
    #[serde(with = "pairs")]
    pub(crate) funds: HashMap<(Owner, Currency), Funds>,
    pub(crate) waiting_refunds: Vec<Id<Refund>>,
    pub(crate) requests: u64,
}

fn unseeded() -> StdRng {
    StdRng::seed_from_u64(0)
}

impl State {
    /// Returns this state, loaded from a file, with the configuration of the simulator that was just started. Webhooks that were being sent are
    /// sent again.
    pub(crate) fn going_on(mut self, started: Self) -> Self {
        self.settings = started.settings;
        self.webhook = started.webhook;
        self.base_url = started.base_url;
        self.rng = started.rng;
        self.effects = started.effects.going_on_after(self.effects);
        let planned: HashSet<&str> = self
            .timers
            .waiting()
            .filter_map(|timer| match timer {
                Timer::Deliver(delivery) => Some(delivery),
                _ => None,
            })
            .chain(&self.ready)
            .map(|delivery| delivery.event.as_str())
            .collect();
        let under_way: Vec<Delivery> = self
            .events
            .rows()
            .filter(|event| {
                event.undelivered && event.pending_webhooks > 0 && !planned.contains(event.id.as_str())
            })
            .map(|event| Delivery {
                event: event.id.clone(),
                attempt: 0,
                retried: true,
                bad_signature: false,
            })
            .collect();
        self.ready.extend(under_way);
        self
    }

    /// Returns an empty simulator. Equal seeds cause the same random faults.
    pub(crate) fn new(
        settings: Settings,
        webhook: Option<WebhookTarget>,
        effects: EffectLog,
        seed: u64,
    ) -> Self {
        Self {
            settings,
            webhook,
            base_url: String::new(),
            clock: Clock::default(),
            timers: Timers::default(),
            ready: Vec::new(),
            attempts: VecDeque::new(),
            rng: StdRng::seed_from_u64(seed),
            faults: Rules::default(),
            webhook_faults: Rules::default(),
            keys: KeyStore::default(),
            effects,
            customers: Table::default(),
            payment_methods: Table::default(),
            payment_intents: Table::default(),
            charges: Table::default(),
            balance_transactions: Table::default(),
            accounts: Table::default(),
            transfers: Table::default(),
            reversals: Table::default(),
            payouts: Table::default(),
            refunds: Table::default(),
            disputes: Table::default(),
            events: Table::default(),
            funds: HashMap::new(),
            waiting_refunds: Vec::new(),
            requests: 0,
        }
    }

    /// Returns the simulator's current time.
    pub(crate) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Plans work for `delay_millis` from now.
    pub(crate) fn plan(&mut self, delay_millis: u64, timer: Timer) {
        let due = self.now().plus_millis(delay_millis);
        self.timers.plan(due, timer);
    }

    /// Appends to the effect log.
    pub(crate) fn log_effect(&mut self, origin: &Origin, new: NewEffect<'_>) {
        let seq = u64::try_from(self.effects.len())
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        let effect = Effect {
            seq,
            time: self.now().rfc3339(),
            operation: new.operation.to_owned(),
            object: new.object.to_owned(),
            amount: new.amount.map(|(amount, _)| amount),
            currency: new.amount.map(|(_, currency)| currency),
            account: new.account.map(str::to_owned),
            platform_change: new.platform_change,
            connected_change: new.connected_change,
            transaction_id: transaction_of(&new.metadata).or(new.about),
            metadata: new.metadata,
            idempotency_key: origin.idempotency_key.clone(),
            request_id: origin.request_id.clone(),
        };
        self.effects.append(effect);
    }

    /// Forgets every object, key, fault and effect; the clock, the settings and the webhook target stay.
    pub(crate) fn reset(&mut self, effects: EffectLog, seed: u64) {
        let mut fresh = Self::new(self.settings.clone(), self.webhook.clone(), effects, seed);
        fresh.base_url.clone_from(&self.base_url);
        fresh.clock = self.clock;
        *self = fresh;
    }

    /// Returns the number of objects of every kind, for `GET /_control/state`.
    pub(crate) fn summary(&self) -> Value {
        let funds: Vec<Value> = self
            .funds
            .iter()
            .map(|((owner, currency), funds)| {
                json!({ "owner": owner.key(), "currency": currency, "available": funds.available, "pending": funds.pending, "reserved": funds.reserved })
            })
            .collect();
        json!({
            "time": self.now().rfc3339(),
            "requests": self.requests,
            "customers": self.customers.len(),
            "payment_methods": self.payment_methods.len(),
            "payment_intents": self.payment_intents.len(),
            "charges": self.charges.len(),
            "balance_transactions": self.balance_transactions.len(),
            "accounts": self.accounts.len(),
            "transfers": self.transfers.len(),
            "reversals": self.reversals.len(),
            "payouts": self.payouts.len(),
            "refunds": self.refunds.len(),
            "disputes": self.disputes.len(),
            "events": self.events.len(),
            "effects": self.effects.len(),
            "idempotency_keys": self.keys.len(),
            "timers": self.timers.len(),
            "undelivered_events": self.events.rows().filter(|event| event.undelivered).count(),
            "funds": funds,
            "webhook": self.webhook.as_ref().map(|target| target.url.clone()),
        })
    }
}
