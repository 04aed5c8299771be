//! Wallets: who owns them, what they hold, where they pay out to.

mod activity;
mod balances;
mod payout_account;
mod row;
mod store;

pub use activity::{ActivityChange, set_active};
pub(crate) use balances::lock_balances;
pub use payout_account::{
    DISCONNECTED, account_of_person, change_account, note_account, payout_account_changed, record_account,
};
pub use row::{Wallet, WalletRow};
pub use store::{
    WalletCount, count_locked, customer_of, find, find_owned, forget_customer, insert, is_active_for,
    load_many, lock, lock_person, of_user, owners_of, record_customer,
};
