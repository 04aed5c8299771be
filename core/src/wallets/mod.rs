//! Wallets: who owns them, what they hold, where they pay out to.

mod row;
mod store;

pub use row::{Wallet, WalletRow};
pub use store::{
    change_account, customer_of, find, find_owned, insert, load_many, lock, of_user, record_account,
    record_customer, set_active,
};
