//! The domain of the wallet: what money is, how it may move, and what keeps both true whatever fails.
//!
//! PostgreSQL is the only source of truth. A request is accepted in one transaction ([`accept`]), carried to a worker as an id
//! ([`jobs`], [`queue`]), guarded by [`locks`], and every change of a balance goes through settlement, [`settle`],
//! which asks the pure state machines in [`flows`] what may happen and writes it in one database transaction.
//! Stripe is called through [`stripe`] alone. `docs/ARCHITECTURE.md` describes the flow of the data.

pub mod accept;
pub mod alarms;
pub mod audit;
pub mod budget;
pub(crate) mod characters;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod db;
pub mod debts;
pub mod dispatch;
pub mod error_chain;
pub mod failpoints;
pub mod feed;
pub mod fees;
pub mod flows;
pub mod foundation;
pub mod ids;
pub mod inbox;
pub mod janitor;
pub mod jobs;
pub mod ledger;
pub mod locks;
pub mod metrics;
pub mod money;
pub mod money_out;
pub mod payees;
pub mod queue;
pub mod readiness;
pub mod reason;
pub mod reconcile;
pub mod retry;
pub mod sessions;
pub mod settle;
pub mod stripe;
pub mod telemetry;
pub mod text_limits;
pub mod transactions;
pub mod verify;
pub mod wallets;
