//! What people owe the platform: for disputes and refunds from outside that their wallets could not cover.
//!
//! A debt is the person's, in a currency. It stands on the wallet that caused it (`wallets.owed_balance`), and is paid from whatever
//! becomes spendable in any wallet of that person and currency ([`crate::ledger::Books::book`]).

mod alarm;
mod store;

pub use alarm::{AlarmLimits, InvalidLimits, raise_alarms};
pub use store::{Cause, Debt, causes, list, of_owners, of_person};
