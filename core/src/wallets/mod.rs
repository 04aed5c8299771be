//! Wallets: who owns them, what they hold, where they pay out to.

mod row;
mod store;

pub use row::{Wallet, WalletRow};
pub use store::{
    WalletCount, change_account, count_locked, customer_of, find, find_owned, insert, load_many, lock,
    of_user, owners_of, record_account, record_customer, set_active,
};
