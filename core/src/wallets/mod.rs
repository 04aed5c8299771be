//! Wallets: who owns them, what they hold, where they pay out to.

mod row;
mod store;

pub use row::{Wallet, WalletRow};
pub use store::{
    customer_of, find, find_owned, insert, load_many, of_user, others_name_account, record_account,
    record_customer, set_active,
};
