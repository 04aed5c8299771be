//! The integration tests: the whole system through its public interface, on real servers.
#![expect(
    clippy::unwrap_used,
    clippy::as_conversions,
    clippy::string_slice,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests fail by panicking and live by the wall clock"
)]

mod alarms;
mod answers;
mod bad_inputs;
mod bounds;
mod by_hand;
mod cancel;
mod cancelled_late;
mod checks;
mod connect_events;
mod contract;
mod currencies;
mod debts;
mod deploys;
mod deposits;
mod details;
mod dispute_ends;
mod disputes;
mod documents;
mod events_list;
mod everything_ends;
mod explained;
mod fee_rules;
mod floods;
mod flows;
mod foreign_objects;
mod frozen_wallets;
mod heavy_requests;
mod held_rows;
mod hurry;
mod idempotency;
mod jobs;
mod kept;
mod late_payments;
mod layers;
mod ledger_guards;
mod lock_quorum;
mod locks;
mod logs;
mod lost_customers;
mod metrics;
mod migration_rules;
mod migrations;
mod money_back;
mod money_out;
mod next_actions;
mod not_migrated;
mod not_to_be_sent;
mod onboarding;
mod operators;
mod other_answers;
mod payments;
mod payout_accounts;
mod payout_decisions;
mod payouts;
mod platform_balance;
mod pooler;
mod postgres;
mod programs;
mod queue;
mod reconcile;
mod refund_fees;
mod refunds;
mod replica;
mod restored;
mod review;
mod rings;
mod schemas;
mod secrets;
mod settlement;
mod signals_alone;
mod silence;
mod stopped_system;
mod stopped_workers;
mod story;
mod strangers;
mod stripe_calls;
mod stripe_flows;
mod stripe_refusals;
mod subscriptions;
mod suspense_disputes;
mod suspense_ends;
mod suspense_turns;
mod sweeps;
mod tables;
mod told_early;
mod transfers;
mod unclaimed_calls;
mod unreachable_payouts;
mod verify;
mod webhooks;
mod withdrawals;
mod worker_ports;
mod wrong_keys;
