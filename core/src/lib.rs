//! The domain of the wallet and its ports: what money is, how it may move, and what the outside must offer.
//!
//! PostgreSQL is the only truth. A request is accepted in one transaction ([`accept`]), carried to a worker as an id
//! ([`jobs`], [`queue`]), guarded by [`locks`], and every change of a balance goes through one door, [`settle`],
//! which asks the pure state machines in [`flows`] what may happen and writes it in one database transaction.
//! Stripe is reached through one port, [`stripe`]. `docs/ARCHITECTURE.md` shows the way of the data.

pub mod accept;
pub mod alarms;
pub mod audit;
pub mod budget;
pub mod chaos;
pub(crate) mod characters;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod db;
pub mod debts;
pub mod dispatch;
pub mod error_chain;
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
pub mod reason;
pub mod reconcile;
pub mod retry;
pub mod sessions;
pub mod settle;
pub mod standing;
pub mod stripe;
pub mod telemetry;
pub mod told;
pub mod transactions;
pub mod verify;
pub mod wallets;
