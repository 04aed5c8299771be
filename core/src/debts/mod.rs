//! Debts: what people owe the platform for disputes and refunds from outside that their wallets could not cover.
//!
//! A debt belongs to a person, in one currency. It is recorded in the wallet that caused it (`wallets.owed_balance`), and is paid from
//! whatever becomes spendable in any wallet of that person and currency ([`crate::ledger::LockedBalances::book`]).

mod alarm;
mod store;

pub use alarm::{AlarmLimits, InvalidLimits, raise_alarms};
pub use store::{Cause, Debt, causes, list, of_owners, of_person};
